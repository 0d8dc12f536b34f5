package executor

// Differences is differences, for tests.
var Differences = differences
