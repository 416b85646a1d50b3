package peer

import (
	"encoding/json"
	"errors"
	"net/http"
)

// failed is the answer of a handler that could not do what was asked for.
type failed struct {
	Error string `json:"error"`
}

// Reply answers a call with v, as JSON.
func Reply(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err == nil && len(b) > MaxBody {
		err = errors.New("the answer is too large")
	}
	if err != nil {
		Fail(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(b)
}

// Fail answers a call with an error: the peer's [Channel.Call] returns it as an
// [*Error] with this status and text.
func Fail(w http.ResponseWriter, status int, err error) {
	b, _ := json.Marshal(failed{err.Error()}) // a string is always valid
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(b)
}

// Decode reads what the peer has sent into what v points to. If it cannot,
// [net/http.StatusBadRequest] is due.
func Decode(r *http.Request, v any) error {
	return json.NewDecoder(r.Body).Decode(v)
}
