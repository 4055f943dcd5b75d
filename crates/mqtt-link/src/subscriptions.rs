//! Which filters are still to be granted on one connection. Pure: packets in, verdict out.

use std::collections::VecDeque;

use rumqttc::{SubAck, SubscribeReasonCode};

use crate::error::LinkError;

/// AWS IoT takes at most so many filters in one SUBSCRIBE packet.
const FILTERS_PER_PACKET: usize = 8;

/// The SUBSCRIBE packets of a connection that have no good answer yet.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    /// Handed over, and not yet seen to be written; written in this order.
    unsent: VecDeque<Vec<String>>,
    unanswered: Vec<(u16, Vec<String>)>,
}

impl Subscriptions {
    pub(crate) fn new(filters: &[String]) -> Self {
        let unsent = filters.chunks(FILTERS_PER_PACKET).map(<[String]>::to_vec).collect();
        Self { unsent, unanswered: Vec::new() }
    }

    /// The filters of each packet that has to be sent, in order.
    pub(crate) fn packets(&self) -> impl Iterator<Item = &[String]> {
        self.unsent.iter().map(Vec::as_slice)
    }

    /// How many packets a link with so many filters sends.
    pub(crate) fn packet_count(filters: usize) -> usize {
        filters.div_ceil(FILTERS_PER_PACKET)
    }

    /// The next packet was written under this identifier.
    pub(crate) fn on_sent(&mut self, id: u16) {
        if let Some(filters) = self.unsent.pop_front() {
            self.unanswered.push((id, filters));
        }
    }

    /// Takes the answer to one packet. Granting a lower `QoS` is an answer that we can live with.
    pub(crate) fn on_answer(&mut self, answer: &SubAck) -> Result<(), LinkError> {
        let Some(index) = self.unanswered.iter().position(|(id, _)| *id == answer.pkid) else {
            return Err(LinkError::Protocol { detail: "SUBACK for a packet that was not sent".to_owned() });
        };
        let (_, filters) = self.unanswered.swap_remove(index);
        if filters.len() != answer.return_codes.len() {
            return Err(LinkError::Protocol { detail: "SUBACK with a wrong number of codes".to_owned() });
        }
        let refused = |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Failure);
        match filters.into_iter().zip(&answer.return_codes).find(|(_, code)| refused(code)) {
            Some((filter, _)) => Err(LinkError::SubscriptionRefused { filter }),
            None => Ok(()),
        }
    }

    /// Whether all filters have been granted.
    pub(crate) fn complete(&self) -> bool {
        self.unsent.is_empty() && self.unanswered.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use rumqttc::QoS;

    use super::*;

    const GRANTED: SubscribeReasonCode = SubscribeReasonCode::Success(QoS::AtLeastOnce);

    fn filters(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("filter/{number}")).collect()
    }

    #[test]
    fn no_packet_has_more_than_eight_filters() {
        let subscriptions = Subscriptions::new(&filters(17));
        let sizes: Vec<usize> = subscriptions.packets().map(<[String]>::len).collect();
        assert_eq!(sizes, [8, 8, 1]);
        assert_eq!(Subscriptions::packet_count(17), 3);
    }

    #[test]
    fn it_is_complete_when_every_packet_has_been_granted_in_any_order() {
        let mut subscriptions = Subscriptions::new(&filters(9));
        subscriptions.on_sent(1);
        subscriptions.on_sent(2);
        subscriptions.on_answer(&SubAck { pkid: 2, return_codes: vec![GRANTED] }).unwrap();
        assert!(!subscriptions.complete());
        subscriptions.on_answer(&SubAck { pkid: 1, return_codes: vec![GRANTED; 8] }).unwrap();
        assert!(subscriptions.complete());
    }

    #[test]
    fn a_refused_filter_is_named() {
        let mut subscriptions = Subscriptions::new(&filters(3));
        subscriptions.on_sent(1);
        let codes = vec![GRANTED, SubscribeReasonCode::Failure, GRANTED];
        let error = subscriptions.on_answer(&SubAck { pkid: 1, return_codes: codes }).unwrap_err();
        assert!(matches!(error, LinkError::SubscriptionRefused { filter } if filter == "filter/1"));
    }

    #[test]
    fn an_answer_that_does_not_fit_is_an_error_and_no_panic() {
        let mut subscriptions = Subscriptions::new(&filters(2));
        assert!(subscriptions.on_answer(&SubAck { pkid: 7, return_codes: vec![GRANTED] }).is_err());
        subscriptions.on_sent(1);
        assert!(subscriptions.on_answer(&SubAck { pkid: 1, return_codes: vec![GRANTED] }).is_err());
    }
}
