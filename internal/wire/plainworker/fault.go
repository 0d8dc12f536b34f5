//go:build unix

package plainworker

// A Fault is one way in which a worker breaks the contract.
type Fault string

// The faults.
const (
	// About the start.
	NoNewline   Fault = "prints the handshake without a newline before it"
	HelloAgain  Fault = "answers a second Hello"
	WorkAtOnce  Fault = "lets Work begin before Hello"
	AnyPage     Fault = "takes a recorder of any version"
	TwoGuests   Fault = "lets a second host in"
	KeepsStdin  Fault = "leaves standard input to the tasks"
	KeepsEnv    Fault = "leaves the handshake's variables in the environment"
	DiesOfInt   Fault = "dies of SIGINT"
	IgnoresInt  Fault = "ignores SIGINT, and so do its children"
	StaysAlone  Fault = "does not leave when standard input ends"
	StaysHungUp Fault = "does not leave when the connection ends"

	// About calls.
	OneNumber     Fault = "answers all items of a pack with its first number"
	OnePack       Fault = "answers a pack in one message when all of it has run"
	EndsOnUnknown Fault = "ends Work when a function is called that it does not serve"
	AnyKind       Fault = "runs a task as whatever it is called"
	CodecAsTask   Fault = "reports what the codec refuses as a failure of the task"
	PanicKills    Fault = "dies when a task panics"
	NoLimit       Fault = "does not look at max_payload_bytes"
	OwnClock      Fault = "ends calls by its own clock"
	FirstAttempt  Fault = "counts attempts from 0"
	OneThread     Fault = "runs one call at a time, whatever its lane"
	QueuesLittle  Fault = "reads nothing more while a MiB of calls waits"

	// About the recorder.
	NoReplyFirst  Fault = "starts calls before the replies of those before are sent"
	RunsDeclined  Fault = "runs calls that it declines"
	ForgetsFence  Fault = "does not look at the fence"
	CountsDecline Fault = "leaves in the recorder that a call started which it declined"
	NeverFinishes Fault = "does not note that a call has finished"
	NeverWaits    Fault = "does not note that a call waits"

	// About cancellation.
	Deaf          Fault = "takes no notice of Cancel"
	LosesEarly    Fault = "loses a Cancel for a call that has not started"
	HitsNext      Fault = "cancels whatever call runs on the lane"
	DeclinesEarly Fault = "answers a cancelled call before its turn"
	EndsEarly     Fault = "answers a cancelled call although it goes on"

	// About streams.
	NoCredit   Fault = "sends values without credit"
	NoBytes    Fault = "counts the values of a credit and not the bytes"
	KeepsFirst Fault = "keeps a value until the next comes"
	NoEnd      Fault = "does not tell a session that there are no more values"
	NoMore     Fault = "gives a session's credit once"
	TakesAll   Fault = "takes values that it has given no credit for"

	// About what is said beside.
	LazyPong    Fault = "answers a Ping when no call runs"
	SaysAll     Fault = "sends progress and logs that nobody wants"
	SaysLate    Fault = "sends progress and logs behind the outcome"
	CallsAtWill Fault = "makes calls that the host has not offered to take"
	SameCall    Fault = "uses the number of a call that it has made again"
	OneKind     Fault = "takes all failures of calls that it has made for those of tasks"

	// About actors.
	NewEachTime Fault = "makes an actor anew for each call of it"
	OneActor    Fault = "takes all numbers for the same actor"
	Replaces    Fault = "makes an actor although its number is in use"
	AnyMethod   Fault = "takes a method's number out of range for the last one's"
	LosesFailed Fault = "forgets an actor whose method has failed"
	KeepsFailed Fault = "keeps the number of an actor that could not be opened"
	StrictClose Fault = "fails to close an actor that there is not"
	NeverCloses Fault = "forgets an actor that is closed and closes nothing"
	KeepsClosed Fault = "keeps an actor that was closed"
	LaneActors  Fault = "keeps the actors of each lane to that"
	ShortNames  Fault = "names methods in failures without their actor"
	OneType     Fault = "describes the types of its first method alone"
	LosesNumber Fault = "does not look at the number of an actor that it has made"

	// About shared state.
	AwaitsSilence   Fault = "waits for an answer that it does not want"
	KeepsUnseen     Fault = "does not give back what it has given up"
	GivesUpSilently Fault = "does not say that it gives a call up that it has made"
	GivesBackLate   Fault = "gives back what it had behind the outcome"
	DoneUnheard     Fault = "does not want to hear whether an item was done"
	OneTicket       Fault = "has one ticket for all that it is granted"
	LosesCode       Fault = "does not look at the code of a failure"
	PutsEach        Fault = "puts each of several items by itself"
	AsksForAll      Fault = "asks for as many items as may be got at a time"
	DoneFirst       Fault = "says of the first of several items alone that it is done"
	ReturnsFirst    Fault = "gives back the first alone of several items that it has given up"
)

// Faults returns all faults.
func Faults() []Fault {
	return []Fault{
		NoNewline, HelloAgain, WorkAtOnce, AnyPage, TwoGuests, KeepsStdin, KeepsEnv, DiesOfInt, IgnoresInt, StaysAlone,
		StaysHungUp, OneNumber, OnePack, EndsOnUnknown, AnyKind, CodecAsTask, PanicKills, NoLimit, OwnClock,
		FirstAttempt, OneThread, QueuesLittle, NoReplyFirst, RunsDeclined, ForgetsFence, CountsDecline, NeverFinishes,
		NeverWaits, Deaf, LosesEarly, HitsNext, DeclinesEarly, EndsEarly, NoCredit, NoBytes, KeepsFirst, NoEnd, NoMore, TakesAll, LazyPong,
		SaysAll, SaysLate, CallsAtWill, SameCall, OneKind, NewEachTime, OneActor, Replaces, AnyMethod, LosesFailed, KeepsFailed, StrictClose, NeverCloses,
		KeepsClosed, LaneActors, ShortNames, OneType, LosesNumber, AwaitsSilence, KeepsUnseen, GivesUpSilently, GivesBackLate, DoneUnheard, OneTicket, LosesCode,
		PutsEach, AsksForAll, DoneFirst, ReturnsFirst,
	}
}
