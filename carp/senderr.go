package carp

// sendLimit is how many adverts in a row must fail before a virtual host is
// demoted, and how many must succeed before that is undone.
const sendLimit = 3

// sendHealth judges the way out by the adverts sent (carp_send_ad_error).
type sendHealth struct{ failed, succeeded int }

// sent counts one advert and reports whether the way out is broken. Errors too
// few to break it are forgotten after so many successes in a row as forgive says.
func (s *sendHealth) sent(ok bool, forgive int) bool {
	switch {
	case !ok:
		s.failed, s.succeeded = min(s.failed+1, sendLimit), 0
	case s.failed > 0:
		if s.failed == sendLimit {
			forgive = sendLimit
		}
		if s.succeeded++; s.succeeded >= forgive {
			*s = sendHealth{}
		}
	}
	return s.failed == sendLimit
}
