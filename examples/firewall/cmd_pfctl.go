package main

import (
	"context"
	"strings"
	"time"

	"github.com/gocarp/gocarp/internal/control"
	"github.com/gocarp/gocarp/pfsync"
)

// cmdPfctl is pfctl(8) -s states.
func (h *host) cmdPfctl(ctx context.Context, args []string, w *control.Writer) error {
	verbose, states := 0, false
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case strings.Trim(a, "v") == "-" && a != "-":
			verbose += len(a) - 1
		case a == "-s" && i+1 < len(args) && args[i+1] != "" && strings.HasPrefix("states", args[i+1]):
			states = true
			i++
		case strings.HasPrefix(a, "-s") && len(a) > 2 && strings.HasPrefix("states", a[2:]):
			states = true
		default:
			return usageError("pfctl: want -ss, and -v or -vv for more")
		}
	}
	if !states {
		return usageError("pfctl: want -ss, and -v or -vv for more")
	}
	var line []byte
	buf := make([]pfsync.State, 256)
	for c := pfsync.Cursor(0); ctx.Err() == nil; {
		var n int
		n, c = h.table.Scan(time.Now(), c, buf)
		for i := range buf[:n] {
			showProgress(&buf[i])
			line = buf[i].AppendPfctl(line[:0], h.settings.pfsyncDialect, verbose)
			w.Write(append(line, '\n'))
		}
		if c == 0 {
			break
		}
	}
	return ctx.Err()
}

// byClass is how far both sides of a TCP connection have come at least, by the class
// that it is in.
var byClass = map[pfsync.Timeout][2]pfsync.PeerState{
	pfsync.TCPFirst:         {pfsync.TCPSynSent, pfsync.TCPClosed},
	pfsync.TCPOpening:       {pfsync.TCPEstablished, pfsync.TCPSynSent},
	pfsync.TCPEstab:         {pfsync.TCPEstablished, pfsync.TCPEstablished},
	pfsync.TCPClose:         {pfsync.TCPClosing, pfsync.TCPEstablished},
	pfsync.TCPFinWait:       {pfsync.TCPFinWait2, pfsync.TCPClosing},
	pfsync.TCPClosedTimeout: {pfsync.TCPTimeWait, pfsync.TCPTimeWait},
}

// showProgress shows a connection of the kernel's as far as it has come. To pf, which
// would want to know its sequence numbers, it is told as one whose sides are CLOSED.
func showProgress(st *pfsync.State) {
	if p, ok := byClass[st.Timeout]; ok && st.Proto == 6 && st.Src.State == pfsync.TCPClosed && st.Dst.State == pfsync.TCPClosed {
		st.Src.State, st.Dst.State = p[0], p[1]
	}
}
