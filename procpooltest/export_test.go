package procpooltest

// NoOrphansWithin is NoOrphans with a patience of one's own.
var NoOrphansWithin = noOrphans

// RaceEnabled tells whether the race detector is on.
const RaceEnabled = raceEnabled
