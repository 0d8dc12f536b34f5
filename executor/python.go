package executor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/procpool/procpool"
)

// projectMarks are files and folders that lie in the topmost folder of a project.
var projectMarks = []string{"pyproject.toml", "go.mod", ".git"}

// findPython returns the path of the Python that is to run the script; see Python.
func findPython(script, dir string, env []string) (string, error) {
	for _, folder := range append(projectFolders(filepath.Dir(script)), dir) {
		if python, ok := pythonOf(filepath.Join(folder, ".venv")); ok {
			return filepath.Abs(python)
		}
	}
	if venv := lookup(env, "VIRTUAL_ENV"); venv != "" {
		if python, ok := pythonOf(venv); ok {
			return filepath.Abs(python)
		}
		return "", fmt.Errorf("VIRTUAL_ENV is %s, where no Python is: make it again, or unset it", venv)
	}
	for _, name := range []string{"python3", "python"} {
		if path, err := exec.LookPath(name); err == nil {
			return filepath.Abs(path)
		}
	}
	return "", errors.New("there is no .venv in its project, VIRTUAL_ENV is not set, and PATH has no python3: " +
		"install Python 3.10 or later, then: python3 -m venv .venv && .venv/bin/pip install procpool")
}

// projectFolders returns the folder and those above it up to the topmost of the
// project, or the folder alone if nothing shows that it belongs to one: nobody means a
// .venv in the root directory.
func projectFolders(folder string) []string {
	var folders []string
	for at := folder; ; at = filepath.Dir(at) {
		folders = append(folders, at)
		for _, mark := range projectMarks {
			if _, err := os.Stat(filepath.Join(at, mark)); err == nil {
				return folders
			}
		}
		if at == filepath.Dir(at) {
			return folders[:1]
		}
	}
}

// pythonOf returns the path of a virtual environment's Python. It is not to be
// resolved: Python finds its environment by the path that it was started with.
func pythonOf(venv string) (path string, ok bool) {
	path = filepath.Join(venv, "bin", "python")
	if runtime.GOOS == "windows" {
		path = filepath.Join(venv, "Scripts", "python.exe")
	}
	info, err := os.Stat(path)
	return path, err == nil && !info.IsDir()
}

// lookup returns the value of an environment variable, "" for none. The last one
// counts, as it does for the process.
func lookup(env []string, name string) (value string) {
	for _, entry := range env {
		if v, ok := strings.CutPrefix(entry, name+"="); ok {
			value = v
		}
	}
	return value
}

// missingModule is how Python says that it could not import one.
var missingModule = regexp.MustCompile(`(?m)^ModuleNotFoundError: No module named '([A-Za-z0-9_.]+)'`)

// sdkModule is the module that every worker in Python imports.
const sdkModule = "procpool"

// packageNames are the names by which to install modules that are called otherwise.
var packageNames = map[string]string{
	"bs4": "beautifulsoup4", "cv2": "opencv-python", "dateutil": "python-dateutil", "dotenv": "python-dotenv",
	"fitz": "pymupdf", "google": "protobuf", "grpc": "grpcio", "PIL": "pillow", "skimage": "scikit-image",
	"sklearn": "scikit-learn", "yaml": "pyyaml",
}

// pythonHint is what a script that ended before it was ready probably lacks.
const pythonHint = "a worker script ends with procpool.serve()"

// explainPython adds to the error of a Python worker that did not start which package
// is missing, if that is why, and how to install it for this Python. Where Python says
// itself why it failed there is no need to guess.
func explainPython(python string, e *procpool.StartError) {
	if e.ExitCode > 0 && e.Output != "" {
		e.Reason = strings.TrimSuffix(e.Reason, "; "+pythonHint)
	}
	found := missingModule.FindAllStringSubmatch(e.Output, -1)
	if found == nil {
		return
	}
	module, _, _ := strings.Cut(found[len(found)-1][1], ".")
	name := module
	if known, ok := packageNames[module]; ok {
		name = known
	}
	e.Reason += fmt.Sprintf(": its Python has no module %q; install it with: %s -m pip install %s", module, python, name)
	if module == sdkModule {
		e.Reason += " (or, in place of its name, the folder sdk/python of a clone of procpool)"
	}
}
