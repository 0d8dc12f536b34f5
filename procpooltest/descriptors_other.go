//go:build !unix

package procpooltest

// addDescriptors adds nothing: the system does not show a process its descriptors.
func addDescriptors(scene) {}
