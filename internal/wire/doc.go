// Package wire is the contract of proto/procpool/worker/v1 on a real wire: the
// host's side of one worker process ([Start], [Worker]) and the worker's side
// ([ServeWorker]). It alone knows gRPC and go-plugin.
//
// What is hot is written by hand and lies in files of its own: the messages that
// carry calls and outcomes (message*.go, behind the codec of codec.go), the flight
// recorder that tells after a crash what had run (recorder.go describes it byte
// by byte), and the connection that polls before it sleeps and counts what the
// kernel took (conn*.go).
package wire
