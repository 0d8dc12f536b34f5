package executor_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// Types are compared between languages where they can be, and let pass where not.
func TestSignatures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		here, far string
		takes     bool // an argument that is here what the worker takes it for there
		returns   bool // a result
	}{
		{"int", "int", true, true},
		{"int64", "str", false, false},
		{"int", "float", true, false},
		{"float64", "int", false, true},
		{"float32", "float", true, true},
		{"string", "str", true, true},
		{"string", "bytes", false, false},
		{"[]uint8", "bytes", true, true},
		{"[]uint8", "str", false, false},
		{"bool", "int", false, false},
		{"[]int", "list[int]", true, true},
		{"[]int", "list[str]", false, false},
		{"[3]float64", "Sequence[float]", true, true},
		{"[][]float64", "list[list[float]]", true, true},
		{"[][]float64", "list[list[str]]", false, false},
		{"[]int", "list", true, true},
		{"map[string]int", "dict[str, int]", true, true},
		{"map[string]int", "dict[str, str]", false, false},
		{"map[string]int", "list[int]", false, false},
		{"map[[2]int]string", "dict[str, list[int]]", false, false},
		{"*string", "str | None", true, true},
		{"string", "str | int", true, true},
		{"main.Point", "Point", true, true},
		{"interface {}", "str", true, true},
		{"string", "numpy.ndarray", true, true},
		{"int", "number", true, true},
		{"string", "number", false, false},
		{"[]uint8", "Uint8Array", true, true},
		{"[]string", "string[]", true, true},
		{"[]string", "Array<number>", false, false},
		{"map[string]bool", "Record<string, boolean>", true, true},
		{"int", "[", true, true},
		{"int", "map[", true, true},
		{"int", "", true, true},
	} {
		takes := executor.Differences(procpool.TaskInfo{Name: "t", In: test.here}, procpool.TaskInfo{Name: "t", In: test.far}, "python") == nil
		returns := executor.Differences(procpool.TaskInfo{Name: "t", Out: test.here}, procpool.TaskInfo{Name: "t", Out: test.far}, "python") == nil
		if takes != test.takes || returns != test.returns {
			t.Errorf("%s here and %s there: as an argument %t, as a result %t; want %t and %t", test.here, test.far, takes, returns, test.takes, test.returns)
		}
	}
}

// New checks what the workers serve against what the program is going to call.
func TestConfigTasks(t *testing.T) {
	for name, test := range map[string]struct {
		task  procpool.Task
		words []string // of the error; none if there is to be none
	}{
		"right":       {procpool.Remote[int, int]("square"), nil},
		"its own":     {square, nil},
		"wrong name":  {procpool.Remote[int, int]("sqare"), []string{`unknown task "sqare"`, `did you mean "square"?`}},
		"wrong types": {procpool.Remote[string, []int]("square"), []string{`"square" takes int in the worker (go) and string here`, `"square" returns int in the worker (go) and []int here`}},
		"wrong kind":  {procpool.RemoteStream[int, int]("square"), []string{`"square" is of kind function in the worker and of kind stream here`}},
		"an actor":    {workbench, nil},
		"wrong actor": {wrongBench(), []string{`"bench.add" takes int in the worker (go) and string here`, `"bench.sub" is no method in the worker, which has bench.add`}},
		"wrong codec": {procpool.Remote[int, int]("square", procpool.WithCodec(procpool.Raw)), []string{`codec "raw"`, "cbor, json"}},
	} {
		t.Run(name, func(t *testing.T) {
			if test.words == nil {
				pool := newPool(t, executor.Config{Workers: 1, Tasks: []procpool.Task{test.task}})
				if got, err := square.Call(t.Context(), pool, 7); got != 49 || err != nil {
					t.Errorf("the square of 7 is %d, %v", got, err)
				}
				return
			}
			processes(t)
			_, err := executor.New(t.Context(), executor.Config{Workers: 1, Tasks: []procpool.Task{test.task}})
			mustContain(t, err, test.words...)
			if !isA[*procpool.StartError](err) || errors.Is(err, procpool.ErrUnknownTask) != (name == "wrong name") {
				t.Errorf("%T: %v", err, err)
			}
		})
	}
}

// A pool tells what its workers serve.
func TestPoolTasks(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	for _, task := range pool.Tasks() {
		if task.Name != "documented" {
			continue
		}
		if task.Doc != "Says what it is for." || task.In != "string" || task.Out != "int" || !strings.Contains(strings.Join(task.Codecs, " "), "json") {
			t.Errorf("the task is described as %+v", task)
		}
		return
	}
	t.Errorf("there is no task %q in %+v", "documented", pool.Tasks())
}

// wrongBench is a handle on an actor with other types and methods than it has.
func wrongBench() procpool.Task {
	a := procpool.RemoteActor[string]("bench")
	procpool.RemoteMethod[string, int](a, "add")
	procpool.RemoteMethod[int, int](a, "sub")
	return a
}

var documented = procpool.Define("documented", func(_ context.Context, s string) (int, error) { return len(s), nil },
	procpool.Doc("Says what it is for."))
