package wire

import (
	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// kindOnWire returns a task's kind as the contract has it.
func kindOnWire(k procpool.Kind) workerv1.TaskKind {
	switch k {
	case procpool.KindStream:
		return workerv1.TaskKind_TASK_KIND_STREAM
	case procpool.KindSession:
		return workerv1.TaskKind_TASK_KIND_SESSION
	case procpool.KindShared:
		return workerv1.TaskKind_TASK_KIND_SHARED
	case procpool.KindActor:
		return workerv1.TaskKind_TASK_KIND_ACTOR
	}
	return workerv1.TaskKind_TASK_KIND_FUNCTION
}

// kindFromWire returns a task's kind from the contract's. One that is not known is
// taken for a function, which the worker refuses to run as such.
func kindFromWire(k workerv1.TaskKind) procpool.Kind {
	switch k {
	case workerv1.TaskKind_TASK_KIND_STREAM:
		return procpool.KindStream
	case workerv1.TaskKind_TASK_KIND_SESSION:
		return procpool.KindSession
	case workerv1.TaskKind_TASK_KIND_SHARED:
		return procpool.KindShared
	case workerv1.TaskKind_TASK_KIND_ACTOR:
		return procpool.KindActor
	}
	return procpool.KindFunction
}

// streamOf returns the stream or session that a call is of, and with what its values
// begin. The error says that it is called as what it is not.
func (s *server) streamOf(t *task, batch *taskBatch) (procpool.StreamTask, taskStream, error) {
	called := procpool.KindFunction
	var begin taskStream
	if t.stream != 0 {
		begin = batch.streams[t.stream-1]
		called = procpool.KindStream
		if begin.input {
			called = procpool.KindSession
		}
	}
	info := &s.infos[t.function]
	task, ok := s.tasks[t.function].(procpool.StreamTask)
	if !ok || called != info.Kind || len(t.sizes) > 0 {
		return nil, begin, procpool.KindError(info.Name, called, info.Kind)
	}
	return task, begin, nil
}
