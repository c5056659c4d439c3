// Package notice mails what a person must know. The passes write notices into
// the outbox, in the transaction of whatever caused them; the Mailer takes
// them from there, puts many of a kind into one digest, and sends them with
// SMTP. A mail is written down before it is sent, so it is never lost, and
// goes out twice only if the server's reply, or this process, was.
//
// It also has the texts of the notices (JobFailure and its like). Whether a
// notice is wanted at all is decided where it is written; keeping the outbox
// is the business of package jobtracker.
package notice
