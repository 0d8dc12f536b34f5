// Procpool is the command line of the process pool: it starts worker programs, in
// whatever language, and shows what they serve, calls their tasks, and tries whether
// they keep the protocol.
//
//	procpool tasks -- <command>            what a worker serves, with types and docs
//	procpool call NAME [JSON] -- <command> call a task, print its result as JSON
//	procpool conform -- <command>          run the conformance kit against a worker
//	procpool completion <shell>            a completion script for that shell
//
// What follows "--" is the command that starts a worker. A Python script may be named
// alone: it is run by the Python of its virtual environment.
//
//	$ procpool tasks -- worker.py
//	NAME    KIND      TYPES       CODECS      DOC
//	square  function  int -> int  cbor, json  Squares a number.
//	$ procpool call square 7 -- worker.py
//	49
//
// Results go to standard output, as JSON or for a person, and nothing else does: what
// the worker prints and logs, and on a terminal its progress, goes to standard error.
// The first Ctrl-C asks a call to stop, the second kills its worker; either way nothing
// is left behind. "procpool help" lists the exit codes and "procpool help call" tells how
// streams and sessions are called.
package main

import (
	"os"

	"github.com/procpool/procpool/internal/conformance"
)

func main() {
	conformance.Init()
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
