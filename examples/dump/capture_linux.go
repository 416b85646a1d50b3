package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"

	"github.com/gocarp/gocarp/internal/pcap"
)

// etherAll is ETH_P_ALL: both directions, and frames that no socket wants.
const etherAll = 0x0003

// A live is a source that captures on an interface until SIGINT or SIGTERM.
type live struct {
	conn *packet.Conn
	raw  syscall.RawConn // conn
	ifi  *net.Interface
	link pcap.LinkType
	log  *slog.Logger

	buf     []byte    // a frame and its VLAN tag
	control [256]byte // what comes beside a frame

	signals chan os.Signal
	stopped sync.WaitGroup
}

func capture(name string, log *slog.Logger) (source, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w", name, err)
	}
	l := &live{ifi: ifi, log: log, buf: make([]byte, pcap.MaxPacket), signals: make(chan os.Signal, 1)}
	var cfg packet.Config
	switch {
	case len(ifi.HardwareAddr) == 6 || ifi.Flags&net.FlagLoopback != 0:
		l.link = pcap.LinkEthernet
		if cfg.Filter, err = etherFilter(); err != nil {
			return nil, err
		}
	case len(ifi.HardwareAddr) == 0:
		l.link = pcap.LinkRaw // a tunnel
	default:
		return nil, fmt.Errorf("interface %q is neither Ethernet nor plain IP", name)
	}
	l.conn, err = packet.Listen(ifi, packet.Raw, etherAll, &cfg)
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("capturing on %s needs root or CAP_NET_RAW: %w", name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("capturing on %s: %w", name, err)
	}
	if err := l.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("capturing on %s: %w", name, err), l.conn.Close())
	}
	signal.Notify(l.signals, os.Interrupt, syscall.SIGTERM)
	l.stopped.Go(func() {
		if _, ok := <-l.signals; ok {
			l.conn.SetReadDeadline(time.Now())
		}
	})
	log.Debug("capturing", "interface", name)
	return l, nil
}

// prepare sets the options of the socket.
func (l *live) prepare() (err error) {
	if l.raw, err = l.conn.SyscallConn(); err != nil {
		return err
	}
	// A card may filter the groups of CARP and pfsync out unless somebody joined.
	return errors.Join(askForMore(l.raw), l.conn.SetPromiscuous(true))
}

// Next waits for a frame. Going down does not end a capture, for that is what
// one watches CARP for; vanishing does.
func (l *live) Next() (pcap.Packet, error) {
	for {
		p, err := l.receive()
		switch {
		case err == nil:
			return p, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return pcap.Packet{}, io.EOF
		case errors.Is(err, syscall.ENETDOWN):
			if _, gone := net.InterfaceByIndex(l.ifi.Index); gone != nil {
				return pcap.Packet{}, fmt.Errorf("interface %s is gone", l.ifi.Name)
			}
			l.log.Warn("interface went down, waiting", "interface", l.ifi.Name)
		default:
			return pcap.Packet{}, fmt.Errorf("capturing on %s: %w", l.ifi.Name, err)
		}
	}
}

// Close ends the capture and says what it missed.
func (l *live) Close() error {
	if stats, err := l.conn.Stats(); err == nil && stats.Drops > 0 {
		l.log.Warn("packets lost by the kernel, too fast for us", "packets", stats.Drops)
	}
	signal.Stop(l.signals)
	close(l.signals)
	l.stopped.Wait()
	return l.conn.Close()
}

// etherFilter lets the kernel drop most of what is not CARP or pfsync: a
// firewall has better things to do than to copy its traffic to us. Tagged frames
// and IPv6 with extension headers pass, find looks at them closely.
func etherFilter() ([]bpf.RawInstruction, error) {
	protocols := func(at uint32, ps ...uint32) []bpf.Instruction {
		prog := []bpf.Instruction{bpf.LoadAbsolute{Off: at, Size: 1}}
		for _, p := range ps {
			prog = append(prog, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: p, SkipTrue: 1}, bpf.RetConstant{Val: pcap.MaxPacket})
		}
		return append(prog, bpf.RetConstant{Val: 0})
	}
	v4 := protocols(14+9, protoCARP, protoPfsync)
	v6 := protocols(14+6, protoCARP, protoPfsync, 0, 43, 44, 60)
	prog := []bpf.Instruction{bpf.LoadAbsolute{Off: 12, Size: 2}}
	prog = append(prog, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0x0800, SkipTrue: uint8(len(v4))})
	prog = append(prog, v4...)
	prog = append(prog, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0x86dd, SkipTrue: uint8(len(v6))})
	prog = append(prog, v6...)
	for _, tag := range []uint32{0x8100, 0x88a8, 0x9100} {
		prog = append(prog, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: tag, SkipTrue: 1}, bpf.RetConstant{Val: pcap.MaxPacket})
	}
	return bpf.Assemble(append(prog, bpf.RetConstant{Val: 0}))
}
