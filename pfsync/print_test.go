package pfsync_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/pfsync"
)

// What OpenBSD's pfctl prints is held against the real thing in TestPfctl. These
// are the other systems, and what the captures have nothing of.
func TestAppendPfctl(t *testing.T) {
	nat := someState(1)
	full := nat
	full.Direction, full.Proto = pfsync.In, 17
	full.Src.State, full.Dst.State = pfsync.Multiple, pfsync.Single
	full.Anchor, full.Rule = 2, 1<<32-1
	full.Flags = pfsync.FlagAllowOpts | pfsync.FlagSloppy | pfsync.FlagPflow | pfsync.FlagNoSync | pfsync.FlagAck | pfsync.FlagNoDF |
		pfsync.FlagSetTOS | pfsync.FlagRandomID | pfsync.FlagScrubTCP | pfsync.FlagSetPrio | pfsync.FlagDummynetPipe
	full.SetTOS, full.SetPrio, full.DNPipe, full.DNRPipe = 8, [2]uint8{2, 5}, 10, 11
	full.SyncFlags, full.Log, full.MinTTL, full.MaxMSS = 12, 2, 64, 1400
	full.Rt, full.RtAF, full.RTableID[0] = pfsync.RouteTo, pfsync.AFInet6, 3
	copy(full.RtAddr[:], []byte{0x20, 1, 0xd, 0xb8, 15: 1})
	copy(full.RtIfName[:], "em2")
	copy(full.OrigIfName[:], "em1")
	full.Wire.RDomain = 4
	queue := nat
	queue.OrigIfName, queue.Flags, queue.DNRPipe, queue.Log = queue.IfName, pfsync.FlagDummynetQueue, 7, 1
	queue.Rt = pfsync.ReplyTo
	copy(queue.RtAddr[:], []byte{192, 0, 2, 1})
	six := pfsync.State{IfName: pfsync.Name{'a', 'l', 'l'}, AF: pfsync.AFInet6, Proto: 58, Direction: pfsync.Out}
	six.Wire.Addr = [2]pfsync.Addr{{0xfe, 0x80, 15: 1}, {0xfe, 0x80, 15: 2}}
	six.Wire.Port = [2]uint16{128, 7}
	six.Stack = six.Wire

	for _, c := range []struct {
		what    string
		st      pfsync.State
		dialect pfsync.Dialect
		verbose int
		want    string
	}{
		{"plain", nat, pfsync.OpenBSD, 0, "em0 tcp 203.0.113.1:50001 (10.1.0.100:43001) -> 203.0.113.100:443       ESTABLISHED:FIN_WAIT_2"},
		{"-v", nat, pfsync.FreeBSD12, 1, `em0 tcp 203.0.113.1:50001 (10.1.0.100:43001) -> 203.0.113.100:443       ESTABLISHED:FIN_WAIT_2
   [1000 + 65536](+77) wscale 7  [9000 + 64000] wscale 10
   age 01:01:01, expires in 23:59:59, 4:3 pkts, 1099511627776:172 bytes, rule 13, sloppy`},
		{"with all there is", full, pfsync.FreeBSD15, 2, `em0 udp 10.1.0.100:43001 ((4) 203.0.113.1:50001) <- 203.0.113.100:443 ((4) 203.0.113.100:443)       SINGLE:MULTIPLE
   age 01:01:01, expires in 23:59:59, 4:3 pkts, 1099511627776:172 bytes, anchor 2` +
			`, allow-opts, sloppy, no-sync, pflow, psync-ack, no-df, set-tos 0x08, random-id, reassemble-tcp, set-prio (0x02 0x05)` +
			`, dummynet pipe (10 11), source-track, sticky-address, log (all), min-ttl 64, max-mss 1400
   id: 6b01f3bf00000001 creatorid: 8e0e4cdf route-to: 2001:db8::1@em2 rtable: 3
   origif: em1`},
		{"the same", full, pfsync.FreeBSD12, 2, `em0 udp 10.1.0.100:43001 ((4) 203.0.113.1:50001) <- 203.0.113.100:443 ((4) 203.0.113.100:443)       SINGLE:MULTIPLE
   age 01:01:01, expires in 23:59:59, 4:3 pkts, 1099511627776:172 bytes, anchor 2, sloppy, source-track, sticky-address
   id: 6b01f3bf00000001 creatorid: 8e0e4cdf`},
		{"queue and reply-to", queue, pfsync.FreeBSD14, 2, `em0 tcp 203.0.113.1:50001 (10.1.0.100:43001) -> 203.0.113.100:443       ESTABLISHED:FIN_WAIT_2
   [1000 + 65536](+77) wscale 7  [9000 + 64000] wscale 10
   age 01:01:01, expires in 23:59:59, 4:3 pkts, 1099511627776:172 bytes, rule 13, dummynet queue (0 7), log
   id: 6b01f3bf00000001 creatorid: 8e0e4cdf reply-to: 192.0.2.1`},
		{"gateway of an outbound state", queue, pfsync.OpenBSD, 0, "em0 tcp 203.0.113.1:50001 (10.1.0.100:43001) -> 203.0.113.100:443 {192.0.2.1}       ESTABLISHED:FIN_WAIT_2"},
		{"keys without a family", six, pfsync.OpenBSD, 0, "all ipv6-icmp fe80::2[7] -> fe80::1[128]       0:0"},
		{"a name that would clear the screen", pfsync.State{IfName: pfsync.Name([]byte("\x1b[2J\n\xffem0\x00stray.")), Proto: 1}, pfsync.OpenBSD, 0,
			`\x1b[2J\x0a\xffem0 icmp :: <- ::       0:0`},
		{"synproxy", states(nat, 6, 11, 0), pfsync.OpenBSD, 0, "em0 tcp 203.0.113.1:50001 (10.1.0.100:43001) -> 203.0.113.100:443       PROXY:SRC"},
		{"synproxy", states(nat, 6, 4, 12), pfsync.OpenBSD, 0, "em0 tcp 203.0.113.1:50001 (10.1.0.100:43001) -> 203.0.113.100:443       PROXY:DST"},
		{"impossible", states(nat, 6, 4, 13), pfsync.OpenBSD, 0, "em0 tcp 203.0.113.1:50001 (10.1.0.100:43001) -> 203.0.113.100:443       <BAD STATE LEVELS 4:13>"},
		{"other", states(nat, 99, 1, 0), pfsync.OpenBSD, 0, "em0 99 203.0.113.1:50001 (10.1.0.100:43001) -> 203.0.113.100:443       SINGLE:NO_TRAFFIC"},
		{"other, out of range", states(nat, 17, 1, 3), pfsync.OpenBSD, 0, "em0 udp 203.0.113.1:50001 (10.1.0.100:43001) -> 203.0.113.100:443       1:3"},
		{"SCTP as other", states(nat, 132, 2, 1), pfsync.FreeBSD12, 0, "em0 sctp 203.0.113.1:50001 (10.1.0.100:43001) -> 203.0.113.100:443       MULTIPLE:SINGLE"},
		{"SCTP with states of its own", states(nat, 132, 2, 1), pfsync.FreeBSD14, 0, "em0 sctp 203.0.113.1:50001 (10.1.0.100:43001) -> 203.0.113.100:443       2:1"},
	} {
		got := string(c.st.AppendPfctl([]byte("> "), c.dialect, c.verbose))
		if diff := cmp.Diff("> "+c.want, got); diff != "" {
			t.Errorf("%s, %v:\n%s", c.what, c.dialect, diff)
		}
	}
	if got, want := nat.String(), string(nat.AppendPfctl(nil, pfsync.OpenBSD, 0)); got != want {
		t.Errorf("String is %q", got)
	}
}

// states is st with another protocol and other states of its peers.
func states(st pfsync.State, proto uint8, src, dst pfsync.PeerState) pfsync.State {
	st.Proto, st.Src.State, st.Dst.State = proto, src, dst
	return st
}
