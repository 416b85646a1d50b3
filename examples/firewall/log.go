package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/gocarp/gocarp/carp"
)

// A logFilter passes on what net.inet.carp.log says: OpenBSD logs changes between
// MASTER and BACKUP at level 2. Warnings and errors pass in any case.
type logFilter struct {
	slog.Handler
	level *atomic.Int32
}

const logChanges = 2

func (f logFilter) Enabled(ctx context.Context, l slog.Level) bool {
	return f.Handler.Enabled(ctx, l) && (l >= slog.LevelWarn || f.level.Load() >= logChanges)
}

func (f logFilter) WithAttrs(a []slog.Attr) slog.Handler {
	return logFilter{f.Handler.WithAttrs(a), f.level}
}

func (f logFilter) WithGroup(name string) slog.Handler {
	return logFilter{f.Handler.WithGroup(name), f.level}
}

// A rejection is what a virtual host last had to refuse.
type rejection struct {
	Src   netip.Addr `json:"src"`
	At    time.Time  `json:"at"`
	Error string     `json:"error"`
	Count uint64     `json:"count"` // of all that were refused
}

// packetDropped is called by the node of a device for each packet that counted for
// nothing.
func (h *host) packetDropped(device string, p carp.Packet, err error) {
	if len(p.Data) > 1 {
		if v, ok := h.subjects.Load(fmt.Sprintf("%d@%s", p.Data[1], device)); ok {
			r := rejection{Src: p.Src, At: time.Now(), Error: err.Error(), Count: 1}
			if last := v.(*vhost).rejected.Load(); last != nil {
				r.Count += last.Count
			}
			v.(*vhost).rejected.Store(&r)
		}
	}
	level := int32(6) // those of OpenBSD's carp_proto_input
	switch {
	case errors.Is(err, carp.ErrTTL), errors.Is(err, carp.ErrVersion):
		level = 5
	case errors.Is(err, carp.ErrLoop), errors.Is(err, carp.ErrReplay):
		level = 4
	}
	if h.logLevel.Load() >= level {
		h.log.Info("carp: packet dropped", "interface", device, "src", p.Src, "err", err)
	}
}
