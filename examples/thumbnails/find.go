package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A source is a file to make a thumbnail of.
type source struct {
	path string
	name string // below the folder that was walked
	size int64
}

// goImages returns the folder of the images with which the Go library is tested.
func goImages() (string, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("can't ask the go command for its test images (%w); name a folder of images instead: thumbnails FOLDER", err)
	}
	folder := filepath.Join(strings.TrimSpace(string(out)), "src", "image")
	if _, err := os.Stat(folder); err != nil {
		return "", fmt.Errorf("this Go installation comes without its test images (%w); name a folder of images instead: thumbnails FOLDER", err)
	}
	return folder, nil
}

// find lists the images below a folder in the order of their paths. It does not
// look into the folder except, which holds what an earlier run has written.
func find(folder, except string) ([]source, error) {
	folder, err := filepath.EvalSymlinks(folder) // a link to a folder would not be walked
	if err != nil {
		return nil, fmt.Errorf("can't read the folder: %w", err)
	}
	if info, err := os.Stat(folder); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("%s is a file; name the folder that holds it", folder)
	}
	var found []source
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil && path == folder:
			return err
		case err != nil:
			fmt.Fprintf(os.Stderr, "thumbnails: left out: %v\n", err)
			return nil
		case entry.IsDir():
			if same(path, except) {
				return filepath.SkipDir
			}
			return nil
		case !isImage(path):
			return nil
		}
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			return nil // a dead link, a device: nothing to read
		}
		name, relErr := filepath.Rel(folder, path)
		if err = errors.Join(err, relErr); err != nil {
			return err
		}
		found = append(found, source{path: path, name: filepath.ToSlash(name), size: info.Size()})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("can't read the folder: %w", err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("there are no images below %s: no file there ends in .png, .jpg, .jpeg or .gif", folder)
	}
	return found, nil
}

func isImage(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".png", ".jpg", ".jpeg", ".gif":
		return true
	}
	return false
}

func same(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}
