package procpool_test

import (
	"context"
	"fmt"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

var Greet = procpool.Define("greet", func(ctx context.Context, name string) (string, error) {
	return procpool.MetadataFrom(ctx)["greeting"] + ", " + name, nil
}, procpool.Metadata(map[string]string{"greeting": "Hello"}))

func ExampleMetadata() {
	ctx := context.Background()
	pool := procpooltest.Inline(Greet)

	fmt.Println(Greet.Call(ctx, pool, "Ada"))
	fmt.Println(Greet.Call(ctx, pool, "Grace", procpool.Metadata(map[string]string{"greeting": "Ahoy"})))
	// Output:
	// Hello, Ada <nil>
	// Ahoy, Grace <nil>
}
