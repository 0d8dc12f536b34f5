package procpooltest

// NoOrphansWithin is NoOrphans with a patience of one's own.
var NoOrphansWithin = noOrphans
