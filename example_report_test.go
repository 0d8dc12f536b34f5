package procpool_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

// Convert tells how far it has come, and what it finds on the way.
var Convert = procpool.Define("convert", func(ctx context.Context, pages []string) (int, error) {
	for i, page := range pages {
		procpool.Report(ctx, float64(i)/float64(len(pages)), "page "+page)
		if page == "" {
			procpool.Logger(ctx).Warn("an empty page", "number", i+1)
		}
	}
	procpool.Report(ctx, 1, "done")
	return len(pages), nil
})

func ExampleReport() {
	ctx := context.Background()
	pool := procpooltest.Inline(Convert)

	future := Convert.Submit(ctx, pool, []string{"a", "b"})
	if _, err := future.Result(ctx); err != nil {
		fmt.Println(err)
	}
	// Info tells of it while the call runs, too, and the pool's OnEvent hears.
	last := future.Info().Progress
	fmt.Printf("%.0f%% %s\n", 100*last.Fraction, last.Text)
	// Output: 100% done
}

func ExampleLogger() {
	// In place of a pool's own logger (Config.Logger), where Inline has slog.Default.
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})))
	pool := procpooltest.Inline(Convert)

	_, err := Convert.Call(context.Background(), pool, []string{"a", ""})
	fmt.Println(err)
	// Output:
	// level=WARN msg="an empty page" task=convert call=1 attempt=1 number=2
	// <nil>
}
