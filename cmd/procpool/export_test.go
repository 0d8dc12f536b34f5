package main

// Main is the program itself, for the test binary to be it.
func Main() { main() }
