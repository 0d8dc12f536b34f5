//go:build !unix

package conformance

// monotonic returns 0: the kit can't read the recorder's clock here.
func monotonic() uint64 { return 0 }
