// Package repocheck holds the repository's written rules as tests: which package
// may import which, what must be documented, and what may not be committed. It
// has no code of its own; run it with make imports.
package repocheck
