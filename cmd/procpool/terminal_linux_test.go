package main_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal runs the program as a shell does at a terminal: that is its standard input
// and error, and typing Ctrl-C there signals it. typed is what a person writes, once
// there is a file named after. It returns what came of it, with what the terminal
// showed as standard error.
func terminal(t *testing.T, cmd *exec.Cmd, after, typed string) run {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(screen.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 40}); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	line, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	var stdout bytes.Buffer
	cmd.Env = append(cmd.Env, "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = line, &stdout, line
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = cmd.Start()
	_ = line.Close() // the program has its own
	if err != nil {
		t.Fatal(err)
	}
	shown := make(chan string)
	go func() {
		text, _ := io.ReadAll(screen) // a terminal whose last user is gone ends with an error
		shown <- string(text)
	}()
	if typed != "" {
		await(t, after)
		if _, err := io.WriteString(screen, typed); err != nil {
			t.Error(err)
		}
	}
	_ = cmd.Wait() // which says that the exit code is not 0
	return run{cmd.ProcessState.ExitCode(), stdout.String(), strings.ReplaceAll(<-shown, "\r\n", "\n")}
}

// A person sees how far a call has come. Nobody waits for an argument that was not
// asked for.
func TestProgressIsShownOnATerminal(t *testing.T) {
	processes(t)
	got := terminal(t, command(t, on(t, "call", "talk")...), "", "")
	got.mustBe(t, 0, "\"said\"\n", "\r\x1b[Kstarting "+self(t)[:10], "\r\x1b[Ktalk  50% half way", "] printed\n", "msg=logged")
	if rest := got.stderr[strings.LastIndex(got.stderr, "\r\x1b[K"):]; rest != "\r\x1b[K" {
		t.Errorf("it leaves %q on the terminal", rest)
	}
}

// The terminal signals all programs in front of it. The worker is none of them: it
// hears of Ctrl-C from its host.
func TestCtrlC(t *testing.T) {
	processes(t)
	mark := filepath.Join(t.TempDir(), "mark")
	got := terminal(t, command(t, on(t, "call", "hold", jsonText(t, mark))...), mark, "\x03")
	got.mustBe(t, 130, "", `call of task "hold" given up: context canceled (interrupt)`)
	if !exists(t, mark+".cancelled") {
		t.Error("the task had no chance to stop")
	}
	mark = filepath.Join(t.TempDir(), "mark")
	got = terminal(t, command(t, on(t, "call", "hold_out", jsonText(t, mark))...), mark, "\x03\x03\x03")
	if got.code != 130 && got.code != -1 { // the third one kills the program, if it comes to that
		t.Errorf("exit code %d, it says\n%s", got.code, got.stderr)
	}
}
