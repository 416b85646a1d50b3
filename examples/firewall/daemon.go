package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/cli"
	"github.com/gocarp/gocarp/internal/confsync"
	"github.com/gocarp/gocarp/internal/control"
)

// gcPercent is by how many percent the heap may grow before garbage is collected. Nearly
// all of it is the table, which the collector passes by, so that looking often costs
// little, and the states of many connections do not take twice their room.
const gcPercent = 3

// serve is "firewall run". Nothing is changed before everything was checked.
func serve(ctx context.Context, o *options, stdout, stderr io.Writer) int {
	fail := func(code int, err error) int {
		printError(stderr, err)
		return code
	}
	var did string
	if !o.dryRun {
		files, err := lockDir(o.dir)
		if err != nil {
			return fail(cli.Usage, err)
		}
		defer files.Close()
		// Before anybody reads the files, and under the same lock: without it, they may
		// be half exchanged.
		if did, err = confsync.Recover(o.dir); err != nil {
			return fail(cli.Usage, err)
		}
	}
	s, err := readSetup(o.dir)
	if err == nil {
		err = s.prepare()
	}
	if err != nil {
		return fail(cli.Usage, err)
	}
	log, flush, err := o.log.Daemon(stderr)
	if err != nil {
		return fail(cli.Usage, err)
	}
	defer flush()
	if did != "" {
		log.Warn("firewall: " + did)
	}
	for _, w := range s.warnings {
		log.Warn("firewall: " + w)
	}
	if o.dryRun {
		s.plan(stdout)
		return cli.OK
	}
	if err := privileges(); err != nil {
		return fail(cli.Usage, err)
	}

	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	h, err := newHost(o.dir, s, log)
	if err != nil {
		return fail(cli.Usage, err)
	}
	if o.socket == defaultSocket {
		if err := os.Mkdir(filepath.Dir(defaultSocket), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return fail(cli.Usage, err)
		}
	}
	socket, err := control.Listen(o.socket, h.command)
	if err != nil {
		return fail(cli.Usage, err)
	}
	defer socket.Close()
	if o.metrics != "" {
		l, err := net.Listen("tcp", o.metrics)
		if err != nil {
			return fail(cli.Usage, fmt.Errorf("-metrics: %w", err))
		}
		defer h.serveMetrics(l).Close()
	}
	if err := h.run(ctx, s, socket); err != nil {
		log.Error(err.Error())
		return cli.Failure
	}
	return cli.OK
}

// run runs the host until ctx is done, or something fails without which it must not
// go on.
func (h *host) run(ctx context.Context, s *setup, socket *control.Server) error {
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), 2)) // one busy goroutine must not hold up the timers
	beside, end := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	err := h.start(ctx, s)
	if err == nil {
		hangup := make(chan os.Signal, 1)
		signal.Notify(hangup, syscall.SIGHUP)
		defer signal.Stop(hangup)
		wg.Go(func() {
			if err := socket.Serve(beside); err != nil {
				h.fail(err)
			}
		})
		wg.Go(func() { h.reloadOn(beside, hangup) })
		wg.Go(func() { h.runPeer(beside) })
		wg.Go(func() { h.watchdog(beside) })
		h.log.Info("firewall: running", "interfaces", len(s.config.Carp))
		notify("READY=1")
		select {
		case <-ctx.Done():
		case err = <-h.failed:
		}
	}
	notify("STOPPING=1")
	h.log.Info("firewall: handing over")
	err = errors.Join(err, h.stop()) // the socket answers meanwhile
	end()
	wg.Wait()
	return err
}

// reloadOn reloads at each signal.
func (h *host) reloadOn(ctx context.Context, hangup <-chan os.Signal) {
	for {
		select {
		case <-hangup:
			var report strings.Builder
			if err := h.reload(&report); err != nil {
				h.log.Error("firewall: reload", "err", err)
			}
			h.log.Info("firewall: reload", "changes", strings.TrimSpace(report.String()))
		case <-ctx.Done():
			return
		}
	}
}

// printError prints all that err joins, a line each.
func printError(w io.Writer, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(w, "firewall: %s\n", strings.TrimPrefix(line, "firewall: "))
	}
}

// notify tells the service manager (sd_notify(3)), if there is one.
func notify(state string) {
	c, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return
	}
	defer c.Close()
	c.Write([]byte(state))
}

// watchdog tells the service manager that we are well for as long as all nodes
// answer. If one does not, it kills us, and the other host takes over.
func (h *host) watchdog(ctx context.Context) {
	interval, err := time.ParseDuration(os.Getenv("WATCHDOG_USEC") + "us")
	if pid := os.Getenv("WATCHDOG_PID"); err != nil || interval <= 0 || pid != "" && pid != fmt.Sprint(os.Getpid()) {
		return
	}
	for {
		answered := make(chan struct{})
		go func() { h.ping(ctx); close(answered) }()
		select {
		case <-answered:
			notify("WATCHDOG=1")
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(interval / 3):
		case <-ctx.Done():
			return
		}
	}
}

// ping waits until every node has answered.
func (h *host) ping(ctx context.Context) {
	n := h.view()
	for _, d := range n.devices {
		if err := d.node.Up(0); !errors.Is(err, carp.ErrNotFound) { // no such vhid: says so, and changes nothing
			h.log.Debug("firewall: watchdog", "interface", d.name, "err", err)
		}
	}
	if n.sync != nil {
		n.sync.node.Status(ctx)
	}
}

// serveMetrics answers to Prometheus.
func (h *host) serveMetrics(l net.Listener) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		h.writeMetrics(r.Context(), w)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second}
	go server.Serve(l)
	return server
}
