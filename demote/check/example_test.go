package check_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/gocarp/gocarp/demote"
	"github.com/gocarp/gocarp/demote/check"
)

func ExampleCheck() {
	var host demote.Counter
	ctx, cancel := context.WithCancel(context.Background())
	upstream := check.Check{
		Config: check.Config{
			Demoter: &host, Cause: "upstream", By: 240,
			OnChange: func(err error) {
				fmt.Println(err, host.Causes())
				cancel()
			},
		},
		Probe: func(context.Context) error { return errors.New("no route") },
	}
	fmt.Println(upstream.Run(ctx), host.Value())
	// Output:
	// no route [upstream 240]
	// <nil> 0
}
