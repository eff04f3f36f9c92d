from senformer import claims_page, published


def test_every_claim_of_a_topic_is_a_row_with_its_source():
    claim = published.claim("memory.crossover_bp")
    texts = [node.astext() for node in claims_page._row(claim, {"measured": 2.0, "agrees": "no"})]
    assert claim.statement in texts[0] and claim.source in texts[0]
    assert texts[1:] == ["300,000 bp", "2 bp", "no"]
