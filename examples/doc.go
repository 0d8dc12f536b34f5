// Package examples is the folder of complete programs that show procpool at
// work. Run one with go run, as in
//
//	go run ./examples/hello
//
// The tests beside this file build each program, run it and compare what it
// prints with the file of its name in testdata.
//
//   - hello calls a function in a worker process.
//   - crash has workers die in several ways, and goes on.
//   - timeout gives up calls that take too long, heeded or not.
//   - supervise runs calls again, finds the one that kills every worker, and
//     replaces all workers while it works.
//   - progress shows one live line while many calls finish.
//   - lockstep counts in a file from five processes under one lock, of which one is
//     killed with the lock.
//   - ledger is lockstep with workers in Python.
//   - assembly has processes take parts out of a queue, some of which are deadly.
//   - thumbnails makes a contact sheet of a folder of images, of which some are
//     corrupt and one is a decompression bomb.
package examples
