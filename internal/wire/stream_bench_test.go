//go:build unix

package wire_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
	"github.com/procpool/procpool/internal/wire"
)

// oneProcessor gives a worker one processor, as an executor does.
func oneProcessor(o *wire.Options) { o.Env = append(o.Env, "GOMAXPROCS=1") }

// BenchmarkStream is small ints of one stream through the whole API.
func BenchmarkStream(b *testing.B) {
	h := startStreams(b, oneProcessor)
	b.ReportAllocs()
	n := 0
	for _, err := range endless.All(b.Context(), h, 0) {
		if err != nil {
			b.Fatal(err)
		}
		if n++; n > b.N {
			break
		}
		if n == 1 {
			b.ResetTimer()
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mvalues/s")
}

// BenchmarkSessionPingPong is a value there and one back, one at a time.
func BenchmarkSessionPingPong(b *testing.B) {
	h := startStreams(b, oneProcessor)
	c := pingPong.Open(b.Context(), h, 0)
	times := make([]time.Duration, 0, b.N)
	b.ReportAllocs()
	for b.Loop() {
		began := time.Now()
		if err := c.Send(b.Context(), 7); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Recv(b.Context()); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began))
	}
	quantiles(b, times)
}

// bareStream is a gRPC stream between two processes without anything of ours: what it
// answers is what the request's payload asks for.
type bareStream struct {
	workerv1.UnimplementedWorkerServiceServer
}

// bareBatch is how many values share a message of a bare stream.
const bareBatch = 100

// Work echoes values, and sends as many as a task's timeout says, in batches.
func (bareStream) Work(stream grpc.BidiStreamingServer[workerv1.WorkRequest, workerv1.WorkResponse]) error {
	for {
		request, err := stream.Recv()
		if err != nil {
			return err
		}
		if v := request.GetValues(); len(v) > 0 {
			if err := stream.Send(&workerv1.WorkResponse{Values: v}); err != nil {
				return err
			}
		}
		for _, t := range request.GetTasks() {
			for range t.GetTimeoutNanos() {
				response := &workerv1.WorkResponse{}
				for i := range bareBatch {
					response.Values = append(response.Values, &workerv1.StreamValue{Seq: 1, Payload: &workerv1.StreamValue_Inline{Inline: []byte{0x19, 1, byte(i)}}})
				}
				if err := stream.Send(response); err != nil {
					return err
				}
			}
		}
	}
}

func runBareStream(dir string) int {
	l, err := net.Listen("unix", filepath.Join(dir, "bare"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s := grpc.NewServer()
	workerv1.RegisterWorkerServiceServer(s, bareStream{})
	go func() { _ = s.Serve(l) }()
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// startBareStream opens a bare stream to another process.
func startBareStream(b *testing.B) grpc.BidiStreamingClient[workerv1.WorkRequest, workerv1.WorkResponse] {
	b.Helper()
	dir := b.TempDir()
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), program)
	cmd.Env = append(os.Environ(), roleEnv+"=bare-stream", hostDirEnv+"="+dir, "GOMAXPROCS=1")
	stdin, inErr := cmd.StdinPipe()
	stdout, outErr := cmd.StdoutPipe()
	if inErr != nil || outErr != nil {
		b.Fatal(inErr, outErr)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() })
	if _, err := stdout.Read(make([]byte, 8)); err != nil {
		b.Fatal(err)
	}
	conn, err := grpc.NewClient("unix:"+filepath.Join(dir, "bare"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	ctx, cancel := context.WithCancel(b.Context())
	b.Cleanup(cancel)
	stream, err := workerv1.NewWorkerServiceClient(conn).Work(ctx)
	if err != nil {
		b.Fatal(err)
	}
	return stream
}

// BenchmarkBareStream is what gRPC alone makes of the same values, in batches.
func BenchmarkBareStream(b *testing.B) {
	stream := startBareStream(b)
	b.ReportAllocs()
	messages := b.N/bareBatch + 1
	if err := stream.Send(&workerv1.WorkRequest{Tasks: []*workerv1.Task{{TimeoutNanos: uint64(messages)}}}); err != nil {
		b.Fatal(err)
	}
	sum := 0
	for range messages {
		response, err := stream.Recv()
		if err != nil {
			b.Fatal(err)
		}
		for _, v := range response.GetValues() {
			sum += len(v.GetInline())
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mvalues/s")
}

// BenchmarkBarePingPong is one message there and one back.
func BenchmarkBarePingPong(b *testing.B) {
	stream := startBareStream(b)
	times := make([]time.Duration, 0, b.N)
	b.ReportAllocs()
	for b.Loop() {
		began := time.Now()
		if err := stream.Send(&workerv1.WorkRequest{Values: []*workerv1.StreamValue{{Seq: 1, Payload: &workerv1.StreamValue_Inline{Inline: []byte{7}}}}}); err != nil {
			b.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began))
	}
	quantiles(b, times)
}
