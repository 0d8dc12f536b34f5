package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// machine is where a run took place: a figure without it means nothing.
type machine struct {
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Python string `json:"python"`
	// Load is the number of processes that wanted a CPU, averaged over the
	// minute before the run: what else was going on.
	Load string `json:"load"`
}

// String is the machine on one line.
func (m machine) String() string {
	return fmt.Sprintf("%s, %d CPUs, %s/%s, %s, %s, %s, load before %s", m.CPU, m.CPUs, m.OS, m.Arch, m.Kernel, m.Go, m.Python, m.Load)
}

// slug names the machine in a file name: the CPU's model in lower case, with
// runs of anything but letters and digits replaced by one dash.
func (m machine) slug() string {
	var slug strings.Builder
	for _, r := range strings.ToLower(m.CPU) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			slug.WriteRune(r)
		case slug.Len() > 0 && !strings.HasSuffix(slug.String(), "-"):
			slug.WriteByte('-')
		}
	}
	return strings.TrimSuffix(slug.String(), "-")
}

// thisMachine looks around. What can't be found out is called unknown.
func thisMachine(ctx context.Context, python string) machine {
	return machine{
		OS:     runtime.GOOS,
		Arch:   runtime.GOARCH,
		CPU:    cpuModel(ctx),
		CPUs:   runtime.NumCPU(),
		Kernel: orUnknown(firstLine(ctx, "", "uname", "-sr")),
		Go:     runtime.Version(),
		Python: python,
		Load:   loadAverage(),
	}
}

func cpuModel(ctx context.Context) string {
	if runtime.GOOS == "darwin" {
		return orUnknown(firstLine(ctx, "", "sysctl", "-n", "machdep.cpu.brand_string"))
	}
	info, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown CPU"
	}
	defer info.Close()
	for lines := bufio.NewScanner(info); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown CPU"
}

func loadAverage() string {
	averages, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	lastMinute, _, _ := strings.Cut(string(averages), " ")
	return lastMinute
}

// commitOf returns the short hash of the checkout, marked when there are
// changes that no commit holds.
func commitOf(ctx context.Context, root string) string {
	hash := firstLine(ctx, root, "git", "rev-parse", "--short", "HEAD")
	if hash == "" {
		return "unknown"
	}
	if firstLine(ctx, root, "git", "status", "--porcelain", "--untracked-files=no") != "" {
		hash += "-dirty"
	}
	return hash
}

// repositoryRoot is the nearest folder upwards that holds the library's
// go.mod, which is where output goes unless a flag says otherwise.
func repositoryRoot() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("the working folder is unknown: %w", err)
	}
	for {
		mod, err := os.ReadFile(filepath.Join(folder, "go.mod"))
		if line, _, _ := strings.Cut(string(mod), "\n"); err == nil && strings.TrimSpace(line) == "module github.com/procpool/procpool" {
			return folder, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", fmt.Errorf("no folder above this one holds procpool's go.mod: run it inside the repository or pass -json")
		}
		folder = parent
	}
}

// firstLine runs a command and returns the first line it prints, or nothing
// when it can't be run: these are labels, not measurements.
func firstLine(ctx context.Context, folder, name string, args ...string) string {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = folder
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}

func orUnknown(label string) string {
	if label == "" {
		return "unknown"
	}
	return label
}
