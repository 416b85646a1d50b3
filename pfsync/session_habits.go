package pfsync

import "time"

// habits are what the two families of kernels do differently, as data.
type habits struct {
	order     [numQueues - 1]queue // of the sections of a frame
	joins     bool                 // UPD_REQ, CLR and BUS go into the frame of the first slice, not into their own
	pushAll   bool                 // a stale update flushes all slices
	insCounts bool                 // updates of a TCP state that waits as INS count against MaxUpd
	insWins   bool                 // an insert takes the place of a waiting UPD_C
	endTime   bool                 // BUS says for how long it has gone on, and END is believed only if that fits

	link     bool          // a request waits for the link, whose loss demotes by 1
	demote   int           // while a bulk update is outstanding
	start    string        // why
	done     string        // why not any more
	retry    time.Duration // between bulk requests
	requests int           // in all
	pause    time.Duration // between frames of a bulk answer

	deferAll   bool // at the limit all deferred packets go, not the oldest only
	deferLocal bool // updates here let a deferred packet go; deletions, here and there, too
}

var (
	habitsOpenBSD = habits{
		order:    [...]queue{qInsAck, qUpdC, qDelC, qIns, qUpd},
		insWins:  true,
		link:     true,
		demote:   32,
		start:    "pfsync start",
		done:     "pfsync done",
		retry:    2 * time.Second,
		requests: 12,
		pause:    20 * time.Millisecond,
		deferAll: true,
	}
	habitsFreeBSD = habits{
		order:      [...]queue{qIns, qInsAck, qUpd, qUpdC, qDelC},
		joins:      true,
		pushAll:    true,
		insCounts:  true,
		endTime:    true,
		demote:     240,
		start:      "pfsync bulk start",
		done:       "pfsync bulk done",
		retry:      5 * time.Second,
		requests:   13,
		pause:      time.Millisecond,
		deferLocal: true,
	}
)

func (d Dialect) habits() *habits {
	if d == OpenBSD || int(d) >= len(dialects) {
		return &habitsOpenBSD
	}
	return &habitsFreeBSD
}
