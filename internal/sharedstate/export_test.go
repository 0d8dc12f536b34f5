package sharedstate

import "fmt"

// Fill makes counters until there are that many objects.
func (r *Registry) Fill(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := 0; len(r.objects) < n; i++ {
		r.objects[fmt.Sprint("counter ", i)] = new(counter)
	}
}
