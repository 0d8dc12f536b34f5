package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Reasons for a failed start. A [*StartError] matches at most one of them.
var (
	// ErrNotFound means that there is no such program.
	ErrNotFound = errors.New("program not found")
	// ErrNotExecutable means that the path exists and cannot be run: a directory, a file without the
	// execute permission or in an unknown format, or a script whose interpreter is missing.
	ErrNotExecutable = errors.New("program not executable")
	// ErrClosed is returned by Start after Close.
	ErrClosed = errors.New("the spawner is closed")
)

// StartError is a program that could not be started. It unwraps to its Reason and to the cause.
type StartError struct {
	Path   string // the program as resolved, or as given when it was not found
	Reason error  // ErrNotFound, ErrNotExecutable or nil
	Detail string // what was found and what to do about it, a clause
	Err    error  // what the system said
}

// Error returns a sentence that names the program and what to do.
func (e *StartError) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("cannot start %q: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("cannot start %q: %s (%v)", e.Path, e.Detail, e.Err)
}

// Unwrap returns the reason and the cause.
func (e *StartError) Unwrap() []error {
	if e.Reason == nil {
		return []error{e.Err}
	}
	return []error{e.Reason, e.Err}
}

// resolve finds the program that path names, as a shell would.
func resolve(path string) (string, error) {
	if path == "" {
		return "", &StartError{Reason: ErrNotFound, Detail: "no program is named", Err: fs.ErrInvalid}
	}
	if filepath.Base(path) != path {
		return path, nil
	}
	found, err := exec.LookPath(path)
	switch {
	case err == nil:
		return found, nil
	case errors.Is(err, exec.ErrDot):
		return "", &StartError{
			Path: path, Reason: ErrNotFound, Err: err,
			Detail: "it was found in the current directory only; write ./" + path + " if that is meant",
		}
	case errors.Is(err, fs.ErrPermission):
		return "", &StartError{Path: path, Reason: ErrNotExecutable, Err: err, Detail: "the file found in PATH may not be executed"}
	default:
		return "", &StartError{Path: path, Reason: ErrNotFound, Err: err, Detail: "no directory in PATH has it"}
	}
}

// explain turns the system's error for a failed start into one that says what is wrong.
func explain(spec Spec, err error) error {
	se := &StartError{Path: spec.Path, Err: err}
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		se.Err = pathErr.Err
	}
	if spec.Dir != "" {
		if info, statErr := os.Stat(spec.Dir); statErr != nil || !info.IsDir() {
			se.Detail = fmt.Sprintf("its working directory %q is not a directory", spec.Dir)
			return se
		}
	}
	file := spec.Path
	if !filepath.IsAbs(file) {
		file = filepath.Join(spec.Dir, file)
	}
	info, statErr := os.Stat(file)
	switch {
	case errors.Is(statErr, fs.ErrNotExist):
		se.Reason, se.Detail = ErrNotFound, "there is no such file"
	case statErr == nil && info.IsDir():
		se.Reason, se.Detail = ErrNotExecutable, "it is a directory"
	case errors.Is(err, fs.ErrNotExist):
		se.Reason, se.Detail = ErrNotExecutable, "the file exists, but the interpreter or loader that it names does not"
	case errors.Is(err, syscall.ENOEXEC):
		se.Reason, se.Detail = ErrNotExecutable, "the file is neither a program for this machine nor a script that begins with #!"
	case errors.Is(err, fs.ErrPermission) && statErr == nil && info.Mode().Perm()&0o111 == 0:
		se.Reason, se.Detail = ErrNotExecutable, "the file lacks the execute permission; chmod +x grants it"
	case errors.Is(err, fs.ErrPermission):
		se.Reason, se.Detail = ErrNotExecutable, "permission to execute it is denied"
	case errors.Is(err, syscall.E2BIG):
		se.Detail = "its arguments and environment are too long"
	case errors.Is(err, syscall.EINVAL):
		se.Detail = "an argument or a variable holds a zero byte"
	}
	return se
}
