package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/procpool/procpool"
)

const tasksExample = "procpool tasks -- ./worker"

func newTasksCommand(kill context.Context, c *console) *cobra.Command {
	var worker workerFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "tasks [flags] -- COMMAND [ARGUMENT...]",
		Short: "List what a worker serves",
		Long: `Tasks starts one worker and lists the tasks that it serves: name, kind, types,
codecs (the preferred one first) and the first line of the documentation.

The types are as the worker's language writes them: of a function "argument -> result",
of a stream "argument -> its values", of a session "opening argument; received
values -> sent values", and of an actor its opening argument, with a line for each of
its methods below. A type that the worker does not tell is "any".

With --json it prints {"tasks": [{"name", "kind", "in", "out", "receives", "codecs",
"doc", "methods"}, ...]}, the documentation in full; "receives" is there for sessions
only, and "methods", each with "name", "in", "out", "codecs" and "doc", for actors.

` + commandHelp,
		Example:           "  " + tasksExample + "\n  procpool tasks --json -- worker.py",
		ValidArgsFunction: completeCommand(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			own, command, err := splitCommand(cmd, args, tasksExample)
			if err != nil {
				return err
			}
			if len(own) > 0 {
				return wrongUse(`tasks takes no arguments of its own, but there is %q before "--"`, own[0])
			}
			pool, err := worker.start(cmd.Context(), c, command, slog.LevelInfo)
			if err != nil {
				return err
			}
			defer leave(kill, pool, nil)
			if asJSON {
				return writeTasks(c.out, pool.Tasks())
			}
			return tabulateTasks(c.out, pool.Tasks())
		},
	}
	worker.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document instead of a table")
	return cmd
}

// taskDocument is a task in the JSON document.
type taskDocument struct {
	Name     string           `json:"name"`
	Kind     string           `json:"kind"`
	In       string           `json:"in"`
	Out      string           `json:"out"`
	Receives string           `json:"receives,omitempty"`
	Codecs   []string         `json:"codecs"`
	Doc      string           `json:"doc"`
	Methods  []methodDocument `json:"methods,omitempty"`
}

// methodDocument is a method of an actor in it.
type methodDocument struct {
	Name   string   `json:"name"`
	In     string   `json:"in"`
	Out    string   `json:"out"`
	Codecs []string `json:"codecs"`
	Doc    string   `json:"doc"`
}

func writeTasks(w io.Writer, tasks []procpool.TaskInfo) error {
	document := struct {
		Tasks []taskDocument `json:"tasks"`
	}{Tasks: []taskDocument{}}
	for _, t := range tasks {
		task := taskDocument{
			Name: t.Name, Kind: t.Kind.String(), In: t.In, Out: t.Out, Receives: t.Receives, Codecs: append([]string{}, t.Codecs...), Doc: t.Doc,
		}
		for _, m := range t.Methods {
			task.Methods = append(task.Methods, methodDocument{Name: m.Name, In: m.In, Out: m.Out, Codecs: append([]string{}, m.Codecs...), Doc: m.Doc})
		}
		document.Tasks = append(document.Tasks, task)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(document)
}

func tabulateTasks(w io.Writer, tasks []procpool.TaskInfo) error {
	var table strings.Builder
	columns := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, "NAME\tKIND\tTYPES\tCODECS\tDOC")
	row := func(name, kind, types string, codecs []string, doc string) {
		doc, _, _ = strings.Cut(strings.TrimSpace(doc), "\n")
		fmt.Fprintf(columns, "%s\t%s\t%s\t%s\t%s\n", cell(name), kind, cell(types), cell(strings.Join(codecs, ", ")), cell(doc))
	}
	for _, t := range tasks {
		row(t.Name, t.Kind.String(), types(t), t.Codecs, t.Doc)
		for _, m := range t.Methods {
			row(t.Name+"."+m.Name, "method", plain(known(m.In)+" -> "+known(m.Out)), m.Codecs, m.Doc)
		}
	}
	if err := columns.Flush(); err != nil {
		return err
	}
	var trimmed strings.Builder
	for line := range strings.Lines(table.String()) {
		trimmed.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	_, err := io.WriteString(w, trimmed.String())
	return err
}

// types tells what a task takes and gives.
func types(t procpool.TaskInfo) string {
	switch t.Kind {
	case procpool.KindSession:
		return plain(known(t.In) + "; " + known(t.Receives) + " -> " + known(t.Out))
	case procpool.KindActor:
		return plain(known(t.In))
	}
	return plain(known(t.In) + " -> " + known(t.Out))
}

// plain writes types as one does today: Go's reflection still knows no any.
func plain(types string) string { return strings.ReplaceAll(types, "interface {}", "any") }

func known(name string) string {
	if strings.TrimSpace(name) == "" {
		return "any"
	}
	return name
}

// maxCell bounds a cell of a table, so that one long type can't push the rest off the
// screen.
const maxCell = 100

func cell(text string) string { return oneLine(text, maxCell) }
