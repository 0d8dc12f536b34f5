package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"time"

	"github.com/procpool/procpool"
)

// An outcome is what became of one file.
type outcome struct {
	source
	format        string
	width, height int
	took          time.Duration
	err           error
}

// crash returns the worker's death, nil when the file did not cause one.
func (o outcome) crash() *procpool.CrashError {
	crash, _ := errors.AsType[*procpool.CrashError](o.err)
	return crash
}

// reason says in a few words why there is no thumbnail.
func (o outcome) reason() string {
	if crash := o.crash(); crash != nil {
		return fmt.Sprintf("its worker, pid %d, died: %s; out of memory: %s", crash.PID, crash.Reason, crash.OOM)
	}
	if task, ok := errors.AsType[*procpool.TaskError](o.err); ok {
		return task.Message
	}
	return o.err.Error()
}

//go:embed page.html
var pageText string

// writePage writes index.html. Its pictures are cut out of the sheets.
func writePage(folder, title string, l layout, outcomes []outcome) error {
	type cell struct {
		Name, Size, Detail, Reason string
		Sheet                      string
		X, Y                       int
		Failed                     bool
	}
	page := struct {
		Title         string
		Side          int
		Cells, Failed []cell
		Good          int
	}{Title: title, Side: l.side}
	for i, o := range outcomes {
		sheet, place := l.place(i)
		c := cell{Name: o.name, Size: bytesText(o.size), Sheet: sheetName(sheet), X: -place.Min.X, Y: -place.Min.Y}
		if o.err != nil {
			c.Failed, c.Reason = true, o.reason()
			page.Failed = append(page.Failed, c)
		} else {
			c.Detail = fmt.Sprintf("%s, %d×%d, %.1f ms", o.format, o.width, o.height, o.took.Seconds()*1000)
			page.Good++
		}
		page.Cells = append(page.Cells, c)
	}
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return fmt.Errorf("page.html is no template: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, page); err != nil {
		return fmt.Errorf("can't make the page: %w", err)
	}
	if err := os.WriteFile(filepath.Join(folder, "index.html"), out.Bytes(), 0o644); err != nil {
		return fmt.Errorf("can't write the page: %w", err)
	}
	return nil
}

func bytesText(n int64) string {
	value, unit := float64(n), "B"
	for _, larger := range []string{"KiB", "MiB", "GiB"} {
		if value < 1000 {
			break
		}
		value, unit = value/1024, larger
	}
	return fmt.Sprintf("%.3g %s", value, unit)
}
