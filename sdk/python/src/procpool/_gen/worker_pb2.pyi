from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_KIND_UNSPECIFIED: _ClassVar[TaskKind]
    TASK_KIND_FUNCTION: _ClassVar[TaskKind]
    TASK_KIND_STREAM: _ClassVar[TaskKind]
    TASK_KIND_ACTOR: _ClassVar[TaskKind]
    TASK_KIND_SESSION: _ClassVar[TaskKind]
    TASK_KIND_SHARED: _ClassVar[TaskKind]

class FailureKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_KIND_UNSPECIFIED: _ClassVar[FailureKind]
    FAILURE_KIND_TASK: _ClassVar[FailureKind]
    FAILURE_KIND_PANIC: _ClassVar[FailureKind]
    FAILURE_KIND_EXIT: _ClassVar[FailureKind]
    FAILURE_KIND_CODEC: _ClassVar[FailureKind]
    FAILURE_KIND_TOO_LARGE: _ClassVar[FailureKind]
    FAILURE_KIND_UNKNOWN_TASK: _ClassVar[FailureKind]
    FAILURE_KIND_CRASH: _ClassVar[FailureKind]
    FAILURE_KIND_TIMEOUT: _ClassVar[FailureKind]
    FAILURE_KIND_CANCELLED: _ClassVar[FailureKind]
    FAILURE_KIND_DEADLINE: _ClassVar[FailureKind]
    FAILURE_KIND_CLOSED: _ClassVar[FailureKind]
    FAILURE_KIND_QUEUE_FULL: _ClassVar[FailureKind]
    FAILURE_KIND_START: _ClassVar[FailureKind]
    FAILURE_KIND_NESTING_LIMIT: _ClassVar[FailureKind]
    FAILURE_KIND_ACTOR_ENDED: _ClassVar[FailureKind]
    FAILURE_KIND_REENTRANT: _ClassVar[FailureKind]

class LogLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOG_LEVEL_UNSPECIFIED: _ClassVar[LogLevel]
    LOG_LEVEL_DEBUG: _ClassVar[LogLevel]
    LOG_LEVEL_INFO: _ClassVar[LogLevel]
    LOG_LEVEL_WARN: _ClassVar[LogLevel]
    LOG_LEVEL_ERROR: _ClassVar[LogLevel]
TASK_KIND_UNSPECIFIED: TaskKind
TASK_KIND_FUNCTION: TaskKind
TASK_KIND_STREAM: TaskKind
TASK_KIND_ACTOR: TaskKind
TASK_KIND_SESSION: TaskKind
TASK_KIND_SHARED: TaskKind
FAILURE_KIND_UNSPECIFIED: FailureKind
FAILURE_KIND_TASK: FailureKind
FAILURE_KIND_PANIC: FailureKind
FAILURE_KIND_EXIT: FailureKind
FAILURE_KIND_CODEC: FailureKind
FAILURE_KIND_TOO_LARGE: FailureKind
FAILURE_KIND_UNKNOWN_TASK: FailureKind
FAILURE_KIND_CRASH: FailureKind
FAILURE_KIND_TIMEOUT: FailureKind
FAILURE_KIND_CANCELLED: FailureKind
FAILURE_KIND_DEADLINE: FailureKind
FAILURE_KIND_CLOSED: FailureKind
FAILURE_KIND_QUEUE_FULL: FailureKind
FAILURE_KIND_START: FailureKind
FAILURE_KIND_NESTING_LIMIT: FailureKind
FAILURE_KIND_ACTOR_ENDED: FailureKind
FAILURE_KIND_REENTRANT: FailureKind
LOG_LEVEL_UNSPECIFIED: LogLevel
LOG_LEVEL_DEBUG: LogLevel
LOG_LEVEL_INFO: LogLevel
LOG_LEVEL_WARN: LogLevel
LOG_LEVEL_ERROR: LogLevel

class HelloRequest(_message.Message):
    __slots__ = ("revision", "capabilities", "lanes", "max_payload_bytes", "recorder", "log_level")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    LANES_FIELD_NUMBER: _ClassVar[int]
    MAX_PAYLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    RECORDER_FIELD_NUMBER: _ClassVar[int]
    LOG_LEVEL_FIELD_NUMBER: _ClassVar[int]
    revision: int
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    lanes: int
    max_payload_bytes: int
    recorder: bool
    log_level: LogLevel
    def __init__(self, revision: _Optional[int] = ..., capabilities: _Optional[_Iterable[str]] = ..., lanes: _Optional[int] = ..., max_payload_bytes: _Optional[int] = ..., recorder: bool = ..., log_level: _Optional[_Union[LogLevel, str]] = ...) -> None: ...

class HelloResponse(_message.Message):
    __slots__ = ("sdk", "sdk_version", "language", "revision", "capabilities", "lanes", "tasks", "pid", "recorder_open")
    SDK_FIELD_NUMBER: _ClassVar[int]
    SDK_VERSION_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    LANES_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    RECORDER_OPEN_FIELD_NUMBER: _ClassVar[int]
    sdk: str
    sdk_version: str
    language: str
    revision: int
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    lanes: int
    tasks: _containers.RepeatedCompositeFieldContainer[TaskDescription]
    pid: int
    recorder_open: bool
    def __init__(self, sdk: _Optional[str] = ..., sdk_version: _Optional[str] = ..., language: _Optional[str] = ..., revision: _Optional[int] = ..., capabilities: _Optional[_Iterable[str]] = ..., lanes: _Optional[int] = ..., tasks: _Optional[_Iterable[_Union[TaskDescription, _Mapping]]] = ..., pid: _Optional[int] = ..., recorder_open: bool = ...) -> None: ...

class TaskDescription(_message.Message):
    __slots__ = ("name", "input", "output", "codecs", "doc", "kind", "methods", "receives", "method_types")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    CODECS_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    METHODS_FIELD_NUMBER: _ClassVar[int]
    RECEIVES_FIELD_NUMBER: _ClassVar[int]
    METHOD_TYPES_FIELD_NUMBER: _ClassVar[int]
    name: str
    input: str
    output: str
    codecs: _containers.RepeatedScalarFieldContainer[str]
    doc: str
    kind: TaskKind
    methods: _containers.RepeatedScalarFieldContainer[str]
    receives: str
    method_types: _containers.RepeatedCompositeFieldContainer[MethodDescription]
    def __init__(self, name: _Optional[str] = ..., input: _Optional[str] = ..., output: _Optional[str] = ..., codecs: _Optional[_Iterable[str]] = ..., doc: _Optional[str] = ..., kind: _Optional[_Union[TaskKind, str]] = ..., methods: _Optional[_Iterable[str]] = ..., receives: _Optional[str] = ..., method_types: _Optional[_Iterable[_Union[MethodDescription, _Mapping]]] = ...) -> None: ...

class MethodDescription(_message.Message):
    __slots__ = ("input", "output", "codecs", "doc")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    CODECS_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    input: str
    output: str
    codecs: _containers.RepeatedScalarFieldContainer[str]
    doc: str
    def __init__(self, input: _Optional[str] = ..., output: _Optional[str] = ..., codecs: _Optional[_Iterable[str]] = ..., doc: _Optional[str] = ...) -> None: ...

class WorkRequest(_message.Message):
    __slots__ = ("tasks", "values", "credits", "host_replies")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    HOST_REPLIES_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[Task]
    values: _containers.RepeatedCompositeFieldContainer[StreamValue]
    credits: _containers.RepeatedCompositeFieldContainer[Credit]
    host_replies: _containers.RepeatedCompositeFieldContainer[HostReply]
    def __init__(self, tasks: _Optional[_Iterable[_Union[Task, _Mapping]]] = ..., values: _Optional[_Iterable[_Union[StreamValue, _Mapping]]] = ..., credits: _Optional[_Iterable[_Union[Credit, _Mapping]]] = ..., host_replies: _Optional[_Iterable[_Union[HostReply, _Mapping]]] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("seq", "lane", "function", "codec", "inline", "segment", "item_sizes", "timeout_nanos", "metadata", "result_credit", "streams_argument", "method", "attempt", "result_credit_bytes", "actor")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SEQ_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    INLINE_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    ITEM_SIZES_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_NANOS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    RESULT_CREDIT_FIELD_NUMBER: _ClassVar[int]
    STREAMS_ARGUMENT_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RESULT_CREDIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    seq: int
    lane: int
    function: int
    codec: str
    inline: bytes
    segment: SegmentRef
    item_sizes: _containers.RepeatedScalarFieldContainer[int]
    timeout_nanos: int
    metadata: _containers.ScalarMap[str, str]
    result_credit: int
    streams_argument: bool
    method: int
    attempt: int
    result_credit_bytes: int
    actor: int
    def __init__(self, seq: _Optional[int] = ..., lane: _Optional[int] = ..., function: _Optional[int] = ..., codec: _Optional[str] = ..., inline: _Optional[bytes] = ..., segment: _Optional[_Union[SegmentRef, _Mapping]] = ..., item_sizes: _Optional[_Iterable[int]] = ..., timeout_nanos: _Optional[int] = ..., metadata: _Optional[_Mapping[str, str]] = ..., result_credit: _Optional[int] = ..., streams_argument: bool = ..., method: _Optional[int] = ..., attempt: _Optional[int] = ..., result_credit_bytes: _Optional[int] = ..., actor: _Optional[int] = ...) -> None: ...

class SegmentRef(_message.Message):
    __slots__ = ("path", "id", "offset", "size")
    PATH_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    path: str
    id: int
    offset: int
    size: int
    def __init__(self, path: _Optional[str] = ..., id: _Optional[int] = ..., offset: _Optional[int] = ..., size: _Optional[int] = ...) -> None: ...

class StreamValue(_message.Message):
    __slots__ = ("seq", "lane", "inline", "segment", "end", "host_call")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    INLINE_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    HOST_CALL_FIELD_NUMBER: _ClassVar[int]
    seq: int
    lane: int
    inline: bytes
    segment: SegmentRef
    end: bool
    host_call: int
    def __init__(self, seq: _Optional[int] = ..., lane: _Optional[int] = ..., inline: _Optional[bytes] = ..., segment: _Optional[_Union[SegmentRef, _Mapping]] = ..., end: bool = ..., host_call: _Optional[int] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("seq", "lane", "values", "bytes", "host_call")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    HOST_CALL_FIELD_NUMBER: _ClassVar[int]
    seq: int
    lane: int
    values: int
    bytes: int
    host_call: int
    def __init__(self, seq: _Optional[int] = ..., lane: _Optional[int] = ..., values: _Optional[int] = ..., bytes: _Optional[int] = ..., host_call: _Optional[int] = ...) -> None: ...

class WorkResponse(_message.Message):
    __slots__ = ("outcomes", "values", "credits", "progress", "logs", "host_calls", "host_cancels", "opening")
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    LOGS_FIELD_NUMBER: _ClassVar[int]
    HOST_CALLS_FIELD_NUMBER: _ClassVar[int]
    HOST_CANCELS_FIELD_NUMBER: _ClassVar[int]
    OPENING_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[Outcome]
    values: _containers.RepeatedCompositeFieldContainer[StreamValue]
    credits: _containers.RepeatedCompositeFieldContainer[Credit]
    progress: _containers.RepeatedCompositeFieldContainer[Progress]
    logs: _containers.RepeatedCompositeFieldContainer[Log]
    host_calls: _containers.RepeatedCompositeFieldContainer[HostCall]
    host_cancels: _containers.RepeatedCompositeFieldContainer[HostCancel]
    opening: bytes
    def __init__(self, outcomes: _Optional[_Iterable[_Union[Outcome, _Mapping]]] = ..., values: _Optional[_Iterable[_Union[StreamValue, _Mapping]]] = ..., credits: _Optional[_Iterable[_Union[Credit, _Mapping]]] = ..., progress: _Optional[_Iterable[_Union[Progress, _Mapping]]] = ..., logs: _Optional[_Iterable[_Union[Log, _Mapping]]] = ..., host_calls: _Optional[_Iterable[_Union[HostCall, _Mapping]]] = ..., host_cancels: _Optional[_Iterable[_Union[HostCancel, _Mapping]]] = ..., opening: _Optional[bytes] = ...) -> None: ...

class Outcome(_message.Message):
    __slots__ = ("seq", "lane", "run_nanos", "inline", "segment", "failure", "declined")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    RUN_NANOS_FIELD_NUMBER: _ClassVar[int]
    INLINE_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    DECLINED_FIELD_NUMBER: _ClassVar[int]
    seq: int
    lane: int
    run_nanos: int
    inline: bytes
    segment: SegmentRef
    failure: Failure
    declined: Declined
    def __init__(self, seq: _Optional[int] = ..., lane: _Optional[int] = ..., run_nanos: _Optional[int] = ..., inline: _Optional[bytes] = ..., segment: _Optional[_Union[SegmentRef, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., declined: _Optional[_Union[Declined, _Mapping]] = ...) -> None: ...

class Declined(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Failure(_message.Message):
    __slots__ = ("kind", "task", "type", "message", "code", "stack", "language", "codec", "op", "notes", "cause", "crash", "limit_nanos", "attempt")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    STACK_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    OP_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    CRASH_FIELD_NUMBER: _ClassVar[int]
    LIMIT_NANOS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    kind: FailureKind
    task: str
    type: str
    message: str
    code: str
    stack: str
    language: str
    codec: str
    op: str
    notes: _containers.RepeatedScalarFieldContainer[str]
    cause: Failure
    crash: Crash
    limit_nanos: int
    attempt: int
    def __init__(self, kind: _Optional[_Union[FailureKind, str]] = ..., task: _Optional[str] = ..., type: _Optional[str] = ..., message: _Optional[str] = ..., code: _Optional[str] = ..., stack: _Optional[str] = ..., language: _Optional[str] = ..., codec: _Optional[str] = ..., op: _Optional[str] = ..., notes: _Optional[_Iterable[str]] = ..., cause: _Optional[_Union[Failure, _Mapping]] = ..., crash: _Optional[_Union[Crash, _Mapping]] = ..., limit_nanos: _Optional[int] = ..., attempt: _Optional[int] = ...) -> None: ...

class Crash(_message.Message):
    __slots__ = ("worker", "pid", "exit_code", "signal", "reason", "oom", "max_rss_bytes", "user_nanos", "system_nanos", "stderr", "attempt", "finished", "suspects", "hung", "dir")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    OOM_FIELD_NUMBER: _ClassVar[int]
    MAX_RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    USER_NANOS_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_NANOS_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    SUSPECTS_FIELD_NUMBER: _ClassVar[int]
    HUNG_FIELD_NUMBER: _ClassVar[int]
    DIR_FIELD_NUMBER: _ClassVar[int]
    worker: int
    pid: int
    exit_code: int
    signal: str
    reason: str
    oom: int
    max_rss_bytes: int
    user_nanos: int
    system_nanos: int
    stderr: str
    attempt: int
    finished: bool
    suspects: int
    hung: bool
    dir: str
    def __init__(self, worker: _Optional[int] = ..., pid: _Optional[int] = ..., exit_code: _Optional[int] = ..., signal: _Optional[str] = ..., reason: _Optional[str] = ..., oom: _Optional[int] = ..., max_rss_bytes: _Optional[int] = ..., user_nanos: _Optional[int] = ..., system_nanos: _Optional[int] = ..., stderr: _Optional[str] = ..., attempt: _Optional[int] = ..., finished: bool = ..., suspects: _Optional[int] = ..., hung: bool = ..., dir: _Optional[str] = ...) -> None: ...

class ControlRequest(_message.Message):
    __slots__ = ("cancel", "ping", "drain")
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    cancel: Cancel
    ping: Ping
    drain: Drain
    def __init__(self, cancel: _Optional[_Union[Cancel, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("lane", "seq")
    LANE_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    lane: int
    seq: int
    def __init__(self, lane: _Optional[int] = ..., seq: _Optional[int] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: int
    def __init__(self, id: _Optional[int] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HostReply(_message.Message):
    __slots__ = ("id", "inline", "segment", "failure", "worker", "pid", "wait_nanos", "run_nanos", "actor")
    ID_FIELD_NUMBER: _ClassVar[int]
    INLINE_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    WAIT_NANOS_FIELD_NUMBER: _ClassVar[int]
    RUN_NANOS_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    id: int
    inline: bytes
    segment: SegmentRef
    failure: Failure
    worker: int
    pid: int
    wait_nanos: int
    run_nanos: int
    actor: int
    def __init__(self, id: _Optional[int] = ..., inline: _Optional[bytes] = ..., segment: _Optional[_Union[SegmentRef, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., worker: _Optional[int] = ..., pid: _Optional[int] = ..., wait_nanos: _Optional[int] = ..., run_nanos: _Optional[int] = ..., actor: _Optional[int] = ...) -> None: ...

class ControlResponse(_message.Message):
    __slots__ = ("pong",)
    PONG_FIELD_NUMBER: _ClassVar[int]
    pong: Pong
    def __init__(self, pong: _Optional[_Union[Pong, _Mapping]] = ...) -> None: ...

class Pong(_message.Message):
    __slots__ = ("id", "memory_bytes")
    ID_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    id: int
    memory_bytes: int
    def __init__(self, id: _Optional[int] = ..., memory_bytes: _Optional[int] = ...) -> None: ...

class Log(_message.Message):
    __slots__ = ("level", "message", "fields", "seq", "lane", "time_unix_nanos")
    class FieldsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_NANOS_FIELD_NUMBER: _ClassVar[int]
    level: LogLevel
    message: str
    fields: _containers.ScalarMap[str, str]
    seq: int
    lane: int
    time_unix_nanos: int
    def __init__(self, level: _Optional[_Union[LogLevel, str]] = ..., message: _Optional[str] = ..., fields: _Optional[_Mapping[str, str]] = ..., seq: _Optional[int] = ..., lane: _Optional[int] = ..., time_unix_nanos: _Optional[int] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("seq", "lane", "done", "total", "message")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    seq: int
    lane: int
    done: float
    total: float
    message: str
    def __init__(self, seq: _Optional[int] = ..., lane: _Optional[int] = ..., done: _Optional[float] = ..., total: _Optional[float] = ..., message: _Optional[str] = ...) -> None: ...

class HostCall(_message.Message):
    __slots__ = ("id", "parent_seq", "parent_lane", "name", "codec", "inline", "segment", "timeout_nanos", "metadata", "kind", "key", "priority", "run_limit_nanos", "attempts", "suspect", "shared", "result_credit", "result_credit_bytes", "no_reply", "actor", "method", "restarts")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_SEQ_FIELD_NUMBER: _ClassVar[int]
    PARENT_LANE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    INLINE_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_NANOS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    RUN_LIMIT_NANOS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    SUSPECT_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    RESULT_CREDIT_FIELD_NUMBER: _ClassVar[int]
    RESULT_CREDIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    NO_REPLY_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    id: int
    parent_seq: int
    parent_lane: int
    name: str
    codec: str
    inline: bytes
    segment: SegmentRef
    timeout_nanos: int
    metadata: _containers.ScalarMap[str, str]
    kind: TaskKind
    key: str
    priority: int
    run_limit_nanos: int
    attempts: int
    suspect: bool
    shared: bool
    result_credit: int
    result_credit_bytes: int
    no_reply: bool
    actor: int
    method: str
    restarts: int
    def __init__(self, id: _Optional[int] = ..., parent_seq: _Optional[int] = ..., parent_lane: _Optional[int] = ..., name: _Optional[str] = ..., codec: _Optional[str] = ..., inline: _Optional[bytes] = ..., segment: _Optional[_Union[SegmentRef, _Mapping]] = ..., timeout_nanos: _Optional[int] = ..., metadata: _Optional[_Mapping[str, str]] = ..., kind: _Optional[_Union[TaskKind, str]] = ..., key: _Optional[str] = ..., priority: _Optional[int] = ..., run_limit_nanos: _Optional[int] = ..., attempts: _Optional[int] = ..., suspect: bool = ..., shared: bool = ..., result_credit: _Optional[int] = ..., result_credit_bytes: _Optional[int] = ..., no_reply: bool = ..., actor: _Optional[int] = ..., method: _Optional[str] = ..., restarts: _Optional[int] = ...) -> None: ...

class HostCancel(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: int
    def __init__(self, id: _Optional[int] = ...) -> None: ...
