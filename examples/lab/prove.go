//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gocarp/gocarp/internal/cli"
	"github.com/gocarp/gocarp/internal/labnet"
)

// prove runs all that was asked for and reports. It reports whether everything is as
// it must be.
func prove(ctx context.Context, o *options, out io.Writer) (ok bool, err error) {
	if err := lookTools("ip", "nft"); err != nil {
		return false, err
	}
	if os.Geteuid() != 0 {
		return false, errors.New("network namespaces need root")
	}
	if err := sweep(o.log); err != nil {
		return false, err
	}
	dir, unlock, err := makeDir()
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if o.firewall, err = firewall(o.firewall, dir); err != nil {
		return false, err
	}

	ok = true
	var all []*summary
	for i, s := range o.scenarios {
		var these []*summary
		for k, p := range o.pairs {
			if why := impossible(s, p); why != nil {
				o.log.warn("no %s with %s: %v", s.name, p.name, why)
				ok = ok && o.all
				continue
			}
			last := i == len(o.scenarios)-1 && k == len(o.pairs)-1
			m := o.measure(ctx, s, p, filepath.Join(dir, fmt.Sprintf("%s-%d", s.name, k)), last && o.keep, out)
			these = append(these, m)
			ok = ok && m.OK
			if ctx.Err() != nil {
				break
			}
		}
		if err := o.print(out, s, these, i > 0); err != nil {
			return false, err
		}
		all = append(all, these...)
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
	}
	if o.svg == "" {
		return ok, nil
	}
	return ok, cli.Save(o.svg, draw(all))
}

// impossible is why a pair cannot do a scenario, or nil.
func impossible(s *scenario, p *pair) error {
	if s.able != nil {
		if err := s.able(p); err != nil {
			return err
		}
	}
	return lookTools(p.tools...)
}

// measure runs a scenario with a pair, on a network of its own.
func (o *options) measure(ctx context.Context, s *scenario, p *pair, dir string, keep bool, out io.Writer) *summary {
	var records []*record
	err := func() (err error) {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		b, err := newBench(ctx, o, s, p, dir)
		defer func() { err = errors.Join(err, b.close()) }()
		if err != nil {
			return err
		}
		for n := range o.runs {
			r, err := b.run(ctx, s, n+1)
			if err != nil {
				return err
			}
			o.log.say("%v", r)
			if o.json {
				if err := json.NewEncoder(out).Encode(r.line()); err != nil {
					return err
				}
			}
			records = append(records, r)
		}
		if keep {
			b.show(os.Stderr)
			<-ctx.Done()
		}
		return nil
	}()
	return summarise(s, p, records, err, o.timers)
}

// show says how to look around in the network.
func (b *bench) show(w io.Writer) {
	fmt.Fprintln(w, "lab: the network stays until SIGINT. Files:", b.dir)
	for _, h := range []*labnet.Host{b.client, b.fw1.Host, b.fw2.Host, b.server} {
		fmt.Fprintf(w, "  %-7s nsenter --net=%s\n", h.Name, h.Path())
	}
}

// print prints a scenario.
func (o *options) print(out io.Writer, s *scenario, all []*summary, more bool) error {
	if o.json {
		for _, m := range all {
			if err := printJSON(out, m); err != nil {
				return err
			}
		}
		return nil
	}
	if more {
		fmt.Fprintln(out)
	}
	if len(all) == 0 {
		return nil
	}
	return printText(out, s, all)
}
