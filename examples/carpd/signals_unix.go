//go:build unix

package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gocarp/gocarp/carp"
)

// stepDown is how long SIGUSR2 keeps us out, as in ucarp.
const stepDown = 3 * time.Second

// serveSignals does what ucarp does until ctx is done: SIGUSR1 logs the state,
// SIGUSR2 steps down. From its return on neither ends the process.
func serveSignals(ctx context.Context, n *carp.Node, vhid uint8, log *slog.Logger) {
	sig := make(chan os.Signal, 1)
	signal.Notify(sig, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		defer signal.Stop(sig)
		answerSignals(ctx, sig, n, vhid, log)
	}()
}

func answerSignals(ctx context.Context, sig <-chan os.Signal, n *carp.Node, vhid uint8, log *slog.Logger) {
	up := time.NewTimer(0)
	up.Stop()
	defer up.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-up.C:
			err = n.Up(vhid)
		case s := <-sig:
			if s == syscall.SIGUSR1 {
				logStatus(n, log)
				continue
			}
			log.Info("carpd: stepping down", "for", stepDown)
			err = n.Down(vhid)
			up.Reset(stepDown)
		}
		if err != nil {
			log.Warn("carpd: signal", "err", err)
		}
	}
}
