package sharedstate

import "fmt"

// FillItems says that the items that tasks have put leave so many bytes.
func (r *Registry) FillItems(left int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.items = maxItemBytes - left
}

// Items returns how many bytes the items take that tasks have put.
func (r *Registry) Items() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.items
}

// Fill makes counters until there are that many objects.
func (r *Registry) Fill(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := 0; len(r.objects) < n; i++ {
		r.objects[fmt.Sprint("counter ", i)] = new(counter)
	}
}
