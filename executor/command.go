package executor

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/procpool/procpool"
)

// Command is a program for workers to run.
type Command struct {
	path   string // of a Python worker the script
	args   []string
	python bool
}

// Program makes a Command of a program's name or path and its arguments. A name
// without a slash is looked up in PATH when the pool is made.
func Program(path string, args ...string) Command {
	return Command{path: path, args: args}
}

// Python makes a Command of a worker that is a Python script, and its arguments; the
// script ends with procpool.serve(). It is run by the Python of the virtual environment
// .venv beside the script, or in a folder above it up to the project's own (the one
// with a pyproject.toml, go.mod or .git); else by that of .venv in Config.Dir; else of
// $VIRTUAL_ENV; else by python3 in PATH. The script's path is taken from Config.Dir.
//
// Where a module is missing, the *procpool.StartError says which package to install,
// and how.
func Python(script string, args ...string) Command {
	return Command{path: script, args: args, python: true}
}

// String returns the command line; "this program" for the zero value.
func (c Command) String() string {
	if c.path == "" {
		return "this program"
	}
	words := append([]string{c.path}, c.args...)
	if c.python {
		words = append([]string{"python3"}, words...)
	}
	return strings.Join(words, " ")
}

// Resolve returns the command line that a worker would be started with, the program as
// the path of its file, for those who start one themselves. dir and env are as
// Config.Dir and Config.Env; of env it matters to a Python script alone. The error is a
// *procpool.StartError. The zero value has no command line.
func (c Command) Resolve(dir string, env []string) ([]string, error) {
	path, args, err := c.resolve(dir, env)
	if err != nil {
		return nil, err
	}
	return append([]string{path}, args[1:]...), nil
}

// resolve finds the program's file, so that a mistyped name is an error at once and a
// later change of PATH or of the working directory changes nothing. args are the
// arguments with which to run it, its name first. The error is a *procpool.StartError.
func (c Command) resolve(dir string, env []string) (path string, args []string, err error) {
	args = append([]string{c.path}, c.args...)
	switch {
	case c.python:
		return c.resolvePython(dir, env)
	case strings.ContainsRune(c.path, filepath.Separator):
		path, err = absolute(dir, c.path)
	default:
		path, err = exec.LookPath(c.path)
	}
	if err != nil {
		return "", nil, notStarted(args, "the program was not found", err)
	}
	return path, args, nil
}

// resolvePython finds the script and a Python to run it.
func (c Command) resolvePython(dir string, env []string) (path string, args []string, err error) {
	args = append([]string{"python3", c.path}, c.args...)
	script, err := absolute(dir, c.path)
	if err == nil {
		var info fs.FileInfo
		if info, err = os.Stat(script); err == nil && info.IsDir() {
			err = fmt.Errorf("%s is a folder", script)
		}
	}
	if err != nil {
		return "", nil, notStarted(args, "there is no such script", err)
	}
	if path, err = findPython(script, dir, env); err != nil {
		return "", nil, notStarted(args, "there is no Python to run it", err)
	}
	args[0], args[1] = path, script
	return path, args, nil
}

func notStarted(command []string, reason string, err error) error {
	return &procpool.StartError{Command: command, Reason: reason, ExitCode: -1, Err: err}
}

// absolute returns the absolute form of a path that is relative to dir.
func absolute(dir, path string) (string, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return filepath.Abs(path)
}
