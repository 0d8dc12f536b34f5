//go:build unix

package proc

// NextPause opens an internal to the tests outside the package.
var NextPause = nextPause

// GuardWith gives the spawner, which has started nothing yet, a guardian of its own that runs in another
// shell. It returns what ends that.
func (s *Spawner) GuardWith(shell string) (end func()) {
	s.guardian = newGuardian(shell)
	return s.guardian.close
}

// Guard puts a group under guard and takes it out again.
func (s *Spawner) Guard(pgid int) {
	s.guardian.add(pgid)
	s.guardian.remove(pgid)
}
