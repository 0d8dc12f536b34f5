package sharedop

// The operations. What comes before the dot is the kind of the object.
const (
	MutexLock        = "mutex.lock"
	MutexUnlock      = "mutex.unlock"
	SemaphoreAcquire = "semaphore.acquire"
	SemaphoreRelease = "semaphore.release"
	CounterAdd       = "counter.add"
	QueuePut         = "queue.put"
	QueueGet         = "queue.get"
	QueueDone        = "queue.done"
	QueueReturn      = "queue.return"
	QueueJoin        = "queue.join"
	QueueClose       = "queue.close"
	QueueDead        = "queue.dead"
	QueueInfo        = "queue.info"
)

// All are the names of all operations.
func All() []string {
	return []string{
		MutexLock, MutexUnlock, SemaphoreAcquire, SemaphoreRelease, CounterAdd, QueuePut, QueueGet, QueueDone, QueueReturn,
		QueueJoin, QueueClose, QueueDead, QueueInfo,
	}
}

// Codes of the errors of an operation, beside those of any call.
const (
	// CodeMismatch says that the object is of another kind or has other bounds.
	CodeMismatch = "shared_mismatch"
	// CodeNotHeld says that the caller does not hold what it wants to give back.
	CodeNotHeld = "shared_not_held"
	// CodeWouldBlock says that an operation that is not to wait would have to.
	CodeWouldBlock = "shared_would_block"
	// CodeQueueClosed says that the queue is closed.
	CodeQueueClosed = "shared_queue_closed"
	// CodeLimit says that there are too many objects, waits or things held.
	CodeLimit = "shared_limit"
	// CodeInvalid says that an argument makes no sense.
	CodeInvalid = "shared_invalid"
)

const (
	// MaxName is the longest name of an object in bytes.
	MaxName = 1 << 10
	// MaxBatch is the most items that are got or done at a time.
	MaxBatch = 1 << 14
)

// Args are the arguments of an operation. Which it takes is said beside each.
type Args struct {
	// Name is the object's, of every operation.
	Name string `cbor:"name"`
	// Ticket names what mutex.lock, semaphore.acquire and queue.get grant, and is
	// given to the operations that give it back. The caller chooses it: a number
	// above 0 that names nothing else which the same call has or waits for.
	Ticket uint64 `cbor:"ticket,omitempty"`
	// Size is how many permits the semaphore has, or how many items the queue
	// holds: of semaphore.acquire, and of the operations of a queue but queue.done
	// and queue.return.
	Size int `cbor:"size,omitempty"`
	// Deliveries is how often the queue delivers an item at the most, of the same.
	Deliveries int `cbor:"deliveries,omitempty"`
	// Count is how many permits semaphore.acquire is to get.
	Count int `cbor:"count,omitempty"`
	// Delta is what counter.add adds.
	Delta int64 `cbor:"delta,omitempty"`
	// Value is the encoded item, of queue.put. Values are several in its place, which
	// are put all at once.
	Value  []byte   `cbor:"value,omitempty"`
	Values [][]byte `cbor:"values,omitempty"`
	// Most is how many items queue.get is to give at the most, in Items of the reply:
	// the one at index i is named by Ticket + i. To queue.return it says that those
	// are meant which were granted of so many. Without it there is one.
	Most int `cbor:"most,omitempty"`
	// Tickets, of queue.done, are several in place of one, of which all are given
	// back or none.
	Tickets []uint64 `cbor:"tickets,omitempty"`
	// NoWait has an operation fail that would wait.
	NoWait bool `cbor:"no_wait,omitempty"`
	// Unseen, of what gives back, says that the caller never got what the ticket
	// names, or does not know: it has given the operation up.
	Unseen bool `cbor:"unseen,omitempty"`
	// Dropped, of what gives back, says that the holder was lost. Of a host only.
	Dropped bool `cbor:"dropped,omitempty"`
}

// Reply is what an operation gives. Which it gives is said beside each.
type Reply struct {
	// Abandoned, of mutex.lock and semaphore.acquire: whether the last holder did
	// not give back what it held.
	Abandoned bool `cbor:"abandoned,omitempty"`
	// Total is the counter's value, of counter.add.
	Total int64 `cbor:"total,omitempty"`
	// Value and Delivery, of queue.get, are the encoded item, and how often it has
	// been delivered, this time included.
	Value    []byte `cbor:"value,omitempty"`
	Delivery int    `cbor:"delivery,omitempty"`
	// Items are what queue.get gives that was told how many at the most.
	Items []Delivered `cbor:"items,omitempty"`
	// Loose says that what was granted belongs to no call, so that nobody but its
	// holder gives it back. A task is never told so.
	Loose bool `cbor:"loose,omitempty"`
	// Letters, of queue.dead, are dead letters, and More whether there are more.
	Letters []Letter `cbor:"letters,omitempty"`
	More    bool     `cbor:"more,omitempty"`
	// Queued, Taken, Dead, Lost and Closed are what queue.info tells.
	Queued int  `cbor:"queued,omitempty"`
	Taken  int  `cbor:"taken,omitempty"`
	Dead   int  `cbor:"dead,omitempty"`
	Lost   int  `cbor:"lost,omitempty"`
	Closed bool `cbor:"closed,omitempty"`
}

// Letter is an item that was delivered as often as it may be and never done.
type Letter struct {
	Value      []byte `cbor:"value"`
	Deliveries int    `cbor:"deliveries"`
}

// Delivered is an item that was taken out of a queue, and how often that was done.
type Delivered struct {
	Value    []byte `cbor:"value"`
	Delivery int    `cbor:"delivery"`
}
