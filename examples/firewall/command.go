package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/gocarp/gocarp/internal/cli"
	"github.com/gocarp/gocarp/internal/control"
	"github.com/gocarp/gocarp/internal/ifconfig"
)

// commands are what the socket answers to.
var commands = map[string]func(*host, context.Context, []string, *control.Writer) error{
	"ifconfig":    (*host).cmdIfconfig,
	"sysctl":      (*host).cmdSysctl,
	"netstat":     (*host).cmdNetstat,
	"pfctl":       (*host).cmdPfctl,
	"status":      (*host).cmdStatus,
	"why":         (*host).cmdWhy,
	"maintenance": (*host).cmdMaintenance,
	"drain":       (*host).cmdDrain,
	"resync":      (*host).cmdResync,
	"reload":      (*host).cmdReload,
	"doctor":      (*host).cmdDoctor,
	"sync":        (*host).cmdSync,
}

// A usageError is what is wrong with a command.
type usageError string

func (e usageError) Error() string { return string(e) }

// command is the control.Handler of the host.
func (h *host) command(ctx context.Context, args []string, stdout, stderr *control.Writer) int {
	if len(args) == 0 {
		args = []string{""}
	}
	f, ok := commands[args[0]]
	if !ok {
		printError(stderr, usageError(fmt.Sprintf("%q is no command: see firewall -h", args[0])))
		return cli.Usage
	}
	err := f(h, ctx, args[1:], stdout)
	var wrongUse usageError
	var wrongWord *ifconfig.Error
	switch {
	case err == nil:
		return cli.OK
	case errors.As(err, &wrongUse), errors.As(err, &wrongWord):
		printError(stderr, err)
		return cli.Usage
	}
	printError(stderr, err)
	return cli.Failure
}

// noArgs refuses any.
func noArgs(name string, args []string) error {
	if len(args) > 0 {
		return usageError(fmt.Sprintf("%s: %q: want no words", name, args[0]))
	}
	return nil
}

func (h *host) cmdWhy(_ context.Context, args []string, w *control.Writer) error {
	n := 20
	if len(args) > 0 {
		var err error
		if n, err = strconv.Atoi(args[0]); err != nil || n < 1 || len(args) > 1 {
			return usageError("why: want a number, 1 or more, of the things that happened last")
		}
	}
	for _, e := range h.journal.last(n) {
		fmt.Fprintln(w, e)
	}
	return nil
}

func (h *host) cmdMaintenance(_ context.Context, args []string, w *control.Writer) error {
	usage := usageError("maintenance: want on, on -persistent, or off")
	switch {
	case len(args) == 1 && args[0] == "off":
		h.journal.add("command", "maintenance off")
		return h.leaveMaintenance()
	case len(args) == 0 || args[0] != "on" || len(args) == 2 && args[1] != "-persistent" || len(args) > 2:
		return usage
	}
	persistent := len(args) == 2
	h.journal.add("command", "maintenance on")
	h.flush()
	if err := h.enterMaintenance(persistent); err != nil {
		return err
	}
	for _, i := range h.outside() {
		fmt.Fprintf(w, "%s is not in group carp, and stays as it is\n", i)
	}
	return nil
}

func (h *host) cmdDrain(ctx context.Context, args []string, w *control.Writer) error {
	force := slices.Equal(args, []string{"-force"})
	if len(args) > 0 && !force {
		return usageError("drain: want -force, or nothing")
	}
	h.journal.add("command", strings.Join(append([]string{"drain"}, args...), " "))
	confirmed, err := h.drain(ctx, force, func(text string) { fmt.Fprintf(w, "going on regardless: %s\n", text) })
	if err != nil {
		return err
	}
	if len(confirmed) > 0 {
		fmt.Fprintf(w, "%v has confirmed that it is master of %s\n", h.peer.address, strings.Join(confirmed, ", "))
	}
	fmt.Fprintln(w, "nothing is master here any more; this lasts until \"maintenance off\"")
	return nil
}

func (h *host) cmdResync(ctx context.Context, args []string, _ *control.Writer) error {
	if err := noArgs("resync", args); err != nil {
		return err
	}
	y := h.view().sync
	if y == nil {
		return errors.New("pfsync0 is not up")
	}
	h.journal.add("command", "resync")
	return y.node.Resync(ctx)
}

func (h *host) cmdReload(_ context.Context, args []string, w *control.Writer) error {
	if err := noArgs("reload", args); err != nil {
		return err
	}
	return h.reload(w)
}

// reload makes what runs what the files ask for now, and prints what was different.
func (h *host) reload(w io.Writer) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	s, err := readSetup(h.dir)
	if err != nil {
		return usageError(err.Error())
	}
	h.journal.add("command", "reload")
	if !s.settings.equal(h.settings) {
		fmt.Fprintln(w, settingsFile+" has changed: that counts from the next start on")
	}
	var names []string
	for _, i := range s.config.Carp {
		names = append(names, i.Name)
	}
	before := h.view().sysctls
	deltas, err := h.change(s.config, append(names, "pfsync0")...)
	for _, d := range deltas {
		fmt.Fprintln(w, d)
	}
	if err != nil {
		return err
	}
	checks, err := h.changeChecks(s.settings.checks)
	for _, line := range checks {
		fmt.Fprintln(w, line)
	}
	if err != nil {
		return err
	}
	if err := h.setSysctls(s.sysctls); err != nil {
		return err
	}
	for _, v := range h.view().vhosts {
		h.forgiveHooks(v)
	}
	h.reloaded()
	if s.sysctls != before {
		fmt.Fprintln(w, "sysctls: changed")
	} else if len(deltas) == 0 && len(checks) == 0 {
		fmt.Fprintln(w, "nothing was different")
	}
	return nil
}
