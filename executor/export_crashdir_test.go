package executor

import "github.com/procpool/procpool"

// CrashDir is what keeps crashes.
type CrashDir struct{ d *crashDir }

// NewCrashDir prepares cfg.CrashDir for a pool whose workers run the program at path.
func NewCrashDir(cfg Config, path string, args ...string) (CrashDir, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return CrashDir{}, err
	}
	d, err := newCrashDir(cfg, path, append([]string{path}, args...))
	return CrashDir{d}, err
}

// Save keeps item i of the call.
func (d CrashDir) Save(c *procpool.Call, i int, e *procpool.CrashError) { d.d.save(c, i, e) }

// Close waits for what is being written.
func (d CrashDir) Close() { d.d.close() }

// Dropped tells how many crashes were not kept.
func (d CrashDir) Dropped() int { return int(d.d.dropped.Load()) }

// ReplayConfig is the configuration with which Replay runs a crash again.
func ReplayConfig(dir string) (Config, error) {
	r, _, initializer, err := readCrash(dir)
	return r.config(initializer), err
}
