package sharedstate

import "container/heap"

// itemHeap are items that have come back to their queue, a heap by number: many may come
// back at once, and in any order.
type itemHeap []*item

var _ heap.Interface = (*itemHeap)(nil)

func (r itemHeap) Len() int           { return len(r) }
func (r itemHeap) Less(i, j int) bool { return r[i].number < r[j].number }
func (r itemHeap) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }

// Push implements heap.Interface.
func (r *itemHeap) Push(it any) {
	*r = append(*r, it.(*item)) //nolint:errcheck // it holds nothing else
}

// Pop implements heap.Interface.
func (r *itemHeap) Pop() any {
	n := len(*r) - 1
	it := (*r)[n]
	(*r)[n] = nil
	*r = (*r)[:n]
	return it
}
