package smtptest

import (
	"fmt"
	"strings"

	"github.com/emersion/go-smtp"
)

// Step is a point of the conversation at which the server can misbehave.
type Step string

// The steps, in their order.
const (
	AtConnect   Step = "connect"   // before the greeting
	AtAuth      Step = "auth"      // the login
	AtSender    Step = "sender"    // MAIL FROM
	AtRecipient Step = "recipient" // RCPT TO
	AtData      Step = "data"      // after the text of the mail
	AtReply     Step = "reply"     // the mail is kept and the connection cut: Code and Hang mean nothing
)

// Fault is how the server misbehaves. The zero Fault is good behaviour.
type Fault struct {
	At    Step
	Code  int    // answer, as 451 or 554
	Text  string // of the answer; empty: a plain one
	Hang  bool   // say nothing until the client goes or the server is closed
	Only  string // at AtRecipient: this address only; empty: every one
	Times int    // so often, then behave; 0: until told otherwise
}

// Misbehave sets the fault that clients meet from now on.
func (s *Server) Misbehave(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Behave ends all misbehaviour.
func (s *Server) Behave() { s.Misbehave(Fault{}) }

func (f Fault) text() string {
	if f.Text != "" {
		return f.Text
	}
	return fmt.Sprintf("told to refuse at %s", f.At)
}

// meet returns the fault for a step, if there is one, and counts it.
func (s *Server) meet(at Step) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.fault
	if f.At != at {
		return Fault{}, false
	}
	if f.Times > 0 {
		if s.fault.Times--; s.fault.Times == 0 {
			s.fault = Fault{}
		}
	}
	return f, true
}

// misbehave meets the fault for a step inside a conversation.
func (s *Server) misbehave(at Step) error {
	f, ok := s.meet(at)
	switch {
	case !ok:
		return nil
	case f.Hang:
		<-s.closed
		return smtp.ErrServerClosed
	}
	return &smtp.SMTPError{Code: f.Code, EnhancedCode: smtp.EnhancedCode{f.Code / 100, 0, 0}, Message: f.text()}
}

// misbehaveTo is misbehave for a recipient.
func (s *Server) misbehaveTo(address string) error {
	s.mu.Lock()
	only := s.fault.Only
	s.mu.Unlock()
	if only != "" && !strings.EqualFold(only, address) {
		return nil
	}
	return s.misbehave(AtRecipient)
}
