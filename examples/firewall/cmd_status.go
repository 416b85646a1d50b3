package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/gocarp/gocarp/internal/control"
)

const (
	// watchPause is the least time between two reports of "status -watch", and
	// watchAgain the most.
	watchPause = 200 * time.Millisecond
	watchAgain = 5 * time.Second
)

// cmdStatus is "status".
func (h *host) cmdStatus(ctx context.Context, args []string, w *control.Writer) error {
	fs := flag.NewFlagSet("status", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	asJSON, watch := fs.Bool("json", false, ""), fs.Bool("watch", false, "")
	if err := fs.Parse(args); err != nil || fs.NArg() > 0 {
		return usageError("status: want -json, -watch, or nothing")
	}
	for {
		changed := h.journal.next()
		r, err := h.report(ctx)
		if err != nil {
			return err
		}
		if *asJSON {
			if err := json.NewEncoder(w).Encode(r); err != nil {
				return err
			}
		} else {
			r.print(w)
		}
		if !*watch {
			return nil
		}
		w.Flush()
		select {
		case <-changed:
		case <-time.After(watchAgain):
		case <-ctx.Done():
			return nil
		}
		select {
		case <-time.After(watchPause): // what happens together is reported together
		case <-ctx.Done():
			return nil
		}
		if !*asJSON {
			fmt.Fprintln(w)
		}
	}
}
