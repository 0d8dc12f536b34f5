package executor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/procpool/procpool"
)

// checkTasks tells what of Config.Tasks the workers do not serve as the program means
// to call it; nil for nothing.
func (c *core) checkTasks(served []procpool.TaskInfo, language string) error {
	var wrong []string
	for _, t := range c.cfg.Tasks {
		want := t.Describe()
		i := slices.IndexFunc(served, func(have procpool.TaskInfo) bool { return have.Name == want.Name })
		if i < 0 {
			return notStarted(c.commandLine(), "it does not serve all of Config.Tasks", c.unknownTask(procpool.Relay{Task: want.Name}.NewCall()))
		}
		wrong = append(wrong, differences(want, served[i], language)...)
	}
	if wrong == nil {
		return nil
	}
	return notStarted(c.commandLine(), "it serves other tasks than Config.Tasks has: "+strings.Join(wrong, "; "), nil)
}

// differences tells in words in what a task as a program calls it differs from the one
// that a worker serves by the same name.
func differences(want, have procpool.TaskInfo, language string) (wrong []string) {
	if want.Kind != have.Kind {
		return []string{fmt.Sprintf("%q is of kind %v in the worker and of kind %v here", want.Name, have.Kind, want.Kind)}
	}
	wrong = typeDifferences(want, have, language)
	for _, m := range want.Methods {
		i := slices.IndexFunc(have.Methods, func(other procpool.MethodInfo) bool { return other.Name == m.Name })
		name := procpool.MethodNames(want.Name, []string{m.Name})[0]
		if i < 0 {
			wrong = append(wrong, fmt.Sprintf("%q is no method in the worker, which has %s", name, strings.Join(methodsOf(have), ", ")))
			continue
		}
		far := have.Methods[i]
		wrong = append(wrong, typeDifferences(procpool.TaskInfo{Name: name, In: m.In, Out: m.Out, Codecs: m.Codecs},
			procpool.TaskInfo{Name: name, In: far.In, Out: far.Out, Codecs: far.Codecs}, language)...)
	}
	return wrong
}

func typeDifferences(want, have procpool.TaskInfo, language string) (wrong []string) {
	for _, part := range []struct {
		what       string
		here, far  string
		fromWorker bool
	}{
		{"takes", want.In, have.In, false},
		{"receives", want.Receives, have.Receives, false},
		{"returns", want.Out, have.Out, true},
	} {
		sender, receiver := shapeOf(part.here), shapeOf(part.far)
		if part.fromWorker {
			sender, receiver = receiver, sender
		}
		if !sender.fits(receiver) {
			wrong = append(wrong, fmt.Sprintf("%q %s %s in the worker (%s) and %s here", want.Name, part.what, part.far, language, part.here))
		}
	}
	if len(want.Codecs) > 0 && len(have.Codecs) > 0 && !slices.Contains(have.Codecs, want.Codecs[0]) {
		wrong = append(wrong, fmt.Sprintf("%q is to be called with the codec %q, and the worker knows %s for it",
			want.Name, want.Codecs[0], strings.Join(have.Codecs, ", ")))
	}
	return wrong
}

// shape is what of a type can be compared between languages. What is not known fits
// all: a name of a class says nothing about what it is in another language.
type shape struct {
	kind shapeKind
	elem *shape // of a list and a map
}

type shapeKind uint8

const (
	anything shapeKind = iota
	integer
	float
	number // an integer or a float
	boolean
	text
	binary
	list
	dictionary
)

// fits reports whether a value of the shape can be taken for one of another: each is
// what the other is, and an integer is good for a float.
func (s shape) fits(receiver shape) bool {
	a, b := s.kind, receiver.kind
	switch {
	case a == anything || b == anything:
		return true
	case a == number || b == number:
		return isNumeric(a) && isNumeric(b)
	case a == integer && b == float:
		return true
	case a != b:
		return false
	case s.elem == nil || receiver.elem == nil:
		return true
	}
	return s.elem.fits(*receiver.elem)
}

func isNumeric(k shapeKind) bool { return k == integer || k == float || k == number }

// scalars are the names that languages have for types without parts.
var scalars = map[string]shapeKind{
	"int": integer, "int8": integer, "int16": integer, "int32": integer, "int64": integer,
	"uint": integer, "uint8": integer, "uint16": integer, "uint32": integer, "uint64": integer, "bigint": integer,
	"float": float, "float32": float, "float64": float,
	"number": number,
	"bool":   boolean, "boolean": boolean,
	"str": text, "string": text,
	"bytes": binary, "bytearray": binary, "[]uint8": binary, "[]byte": binary, "Uint8Array": binary, "Buffer": binary,
	"list": list, "dict": dictionary,
}

// generics are the names of types in Python and TypeScript whose last parameter is
// that of what they hold.
var generics = map[string]shapeKind{
	"list": list, "Sequence": list, "Array": list, "set": list, "frozenset": list,
	"dict": dictionary, "Mapping": dictionary, "Record": dictionary,
}

// shapeOf reads a type as Go, Python or TypeScript writes it.
func shapeOf(name string) shape {
	name = strings.TrimSpace(name)
	if kind, ok := scalars[name]; ok {
		return shape{kind: kind}
	}
	if inner, ok := strings.CutSuffix(name, " | None"); ok && !strings.Contains(inner, "|") {
		return shapeOf(inner)
	}
	switch {
	case strings.Contains(name, "|"):
		return shape{}
	case strings.HasPrefix(name, "*"):
		return shapeOf(name[1:])
	case strings.HasPrefix(name, "map["):
		if end := closing(name[len("map["):]); end >= 0 {
			return of(dictionary, name[len("map[")+end+1:])
		}
	case strings.HasPrefix(name, "["):
		if end := strings.IndexByte(name, ']'); end > 0 {
			return of(list, name[end+1:])
		}
	case strings.HasSuffix(name, "[]"):
		return of(list, strings.TrimSuffix(name, "[]"))
	}
	open := strings.IndexAny(name, "[<")
	if open < 0 || !strings.ContainsAny(name[len(name)-1:], "]>") {
		return shape{}
	}
	kind, ok := generics[name[:open]]
	if !ok {
		return shape{}
	}
	parameters := name[open+1 : len(name)-1]
	if kind == dictionary {
		_, parameters, _ = strings.Cut(parameters, ",") // keys are simple
	}
	return of(kind, parameters)
}

func of(kind shapeKind, elem string) shape {
	e := shapeOf(elem)
	return shape{kind: kind, elem: &e}
}

// closing returns where the bracket is that closes one before s, -1 for nowhere.
func closing(s string) int {
	depth := 0
	for i, c := range []byte(s) {
		switch c {
		case '[':
			depth++
		case ']':
			if depth == 0 {
				return i
			}
			depth--
		}
	}
	return -1
}
