package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A bare go-plugin, set up as its documentation does: gRPC, this binary run
// again as a plain Cmd, no AutoMTLS. It serves one method of one number, so
// that its first result is as small as ours.

const (
	squareName   = "square"
	squareMethod = "/procpool.bench.SquareService/Square"
)

func handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "BENCH_PLUGIN", MagicCookieValue: "square"}
}

// squarePlugin is both ends of the plugin.
type squarePlugin struct {
	plugin.NetRPCUnsupportedPlugin
}

// GRPCServer registers the service, described by hand to spare generated code
// for one method.
func (squarePlugin) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "procpool.bench.SquareService",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Square",
			Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				var n wrapperspb.Int64Value
				if err := decode(&n); err != nil {
					return nil, err
				}
				return wrapperspb.Int64(n.GetValue() * n.GetValue()), nil
			},
		}},
	}, nil)
	return nil
}

// GRPCClient returns a function that calls the service.
func (squarePlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return func(ctx context.Context, n int64) (int64, error) {
		var squared wrapperspb.Int64Value
		if err := conn.Invoke(ctx, squareMethod, wrapperspb.Int64(n), &squared); err != nil {
			return 0, fmt.Errorf("calling the plugin: %w", err)
		}
		return squared.GetValue(), nil
	}, nil
}

// servePlugin is the plugin's process.
func servePlugin() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: handshake(),
		Plugins:         plugin.PluginSet{squareName: squarePlugin{}},
		GRPCServer:      plugin.DefaultGRPCServer,
		Logger:          hclog.NewNullLogger(),
	})
}

// pluginHost is a fresh process that starts the plugin and prints how long its
// first result took, in nanoseconds.
func pluginHost(ctx context.Context, out io.Writer) error {
	start := time.Now()
	cmd, err := child(ctx, partPlugin)
	if err != nil {
		return err
	}
	cmd.Stderr = nil // go-plugin wants the pipe
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  handshake(),
		Plugins:          plugin.PluginSet{squareName: squarePlugin{}},
		Cmd:              cmd,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
	})
	defer client.Kill()
	connection, err := client.Client()
	if err != nil {
		return fmt.Errorf("starting the plugin: %w", err)
	}
	dispensed, err := connection.Dispense(squareName)
	if err != nil {
		return fmt.Errorf("dispensing the plugin: %w", err)
	}
	square, ok := dispensed.(func(context.Context, int64) (int64, error))
	if !ok {
		return errors.New("the plugin dispensed something else than its function")
	}
	squared, err := square(ctx, 7)
	if err != nil {
		return err
	}
	took := time.Since(start)
	if squared != 49 {
		return fmt.Errorf("the plugin says that 7 squared is %d", squared)
	}
	if _, err := fmt.Fprintln(out, took.Nanoseconds()); err != nil {
		return fmt.Errorf("reporting to the benchmark: %w", err)
	}
	return nil
}
